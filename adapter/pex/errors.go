package pex

import (
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The reasons for which a message of a peer is dropped as an offence, wrapped
// by an AbuseError.
var (
	// ErrMessageTooLarge: the message is larger than 30 addresses can make it.
	ErrMessageTooLarge = errors.New("discovery message is larger than 30 addresses")
	// ErrInvalidAddress: a response names an address that nobody could dial.
	ErrInvalidAddress = errors.New("invalid address in a discovery response")
	// ErrNotRequested: a response without a request that it could answer.
	ErrNotRequested = errors.New("discovery response was not requested")
)

// errNoBook is returned by Start of a reactor without a book.
var errNoBook = errors.New("discovery reactor has no address book")

// AbuseError is the reason for which the reactor stops a peer whose messages keep
// being dropped as offences.
type AbuseError struct {
	Peer   types.ID
	Count  int           // offences
	Window time.Duration // within which they came
	Last   error         // the latest one
}

// Error names the peer and its last offence.
func (e *AbuseError) Error() string {
	return fmt.Sprintf("%d bad discovery messages of %s within %s, the last: %v", e.Count, e.Peer, e.Window, e.Last)
}

// Unwrap returns compat.ErrViolation and the last offence.
func (e *AbuseError) Unwrap() []error { return []error{compat.ErrViolation, e.Last} }
