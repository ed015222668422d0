package control

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/internal/edkey"
)

// These begin what is signed, so that no signature of a node key for another purpose is one
// of a delegation, and one without a host none of one with a host. The final zero byte is
// part of them.
const (
	delegationDomain     = "tm2-libp2p/session/delegation/1\x00"
	hostDelegationDomain = "tm2-libp2p/session/delegation/2\x00"
)

// Why a delegated identity is refused.
var (
	errDelegationToSelf    = errors.New("delegated identity is that of the connection")
	errDelegationOfOurs    = errors.New("delegated identity is that of this node")
	ErrDelegationLowOrder  = errors.New("delegated identity is a key of low order")
	errDelegationSignature = errors.New("signature of the delegated identity is not valid")
	ErrDelegationExpired   = errors.New("delegated identity has expired")
	ErrDelegationLong      = errors.New("delegated identity expires too late")
)

const (
	// DelegationLife is how long a new delegation is valid by the dialer's clock. So the
	// clocks of dialer and listener may differ by as much.
	DelegationLife = 5 * time.Minute
	// MaxDelegationLife is the longest validity that a listener accepts, by its own clock.
	// For as long it remembers a delegation that was used.
	MaxDelegationLife = 2 * DelegationLife
)

// Epoch names one session; its dialer chooses it at random.
type Epoch [16]byte

// NewEpoch returns a random epoch.
func NewEpoch() Epoch {
	var e Epoch
	rand.Read(e[:]) // never fails, as its documentation promises

	return e
}

// String returns the epoch in hexadecimal.
func (e Epoch) String() string { return hex.EncodeToString(e[:]) }

// Delegation proves that the holder of Key allows the dialer of one session to speak for
// it (docs/sessions.md §6).
type Delegation struct {
	Key       [ed25519.PublicKeySize]byte
	Signature [ed25519.SignatureSize]byte
	Expires   uint64 // Unix time in seconds
	// Host is where the dialer has seen the node: an IPv4 address or an IPv6 /64. Only the
	// dialer vouches for it. It is the zero value in a Hello of Version.
	Host netip.Prefix
}

// DelegationBytes returns what the delegated key signs. The host may be the zero value.
func DelegationBytes(host netip.Prefix, e Epoch, dialer, listener peer.ID, expires uint64) []byte {
	domain := delegationDomain
	if host.IsValid() {
		domain = hostDelegationDomain
	}
	b := make([]byte, 0, len(domain)+len(e)+len(dialer)+len(listener)+32)
	b = append(b, domain...)
	b = protowire.AppendBytes(b, e[:])
	b = protowire.AppendBytes(b, []byte(dialer))
	b = protowire.AppendBytes(b, []byte(listener))

	b = binary.BigEndian.AppendUint64(b, expires)
	if host.IsValid() {
		b = protowire.AppendBytes(b, hostBytes(host))
	}

	return b
}

// hostBytes returns a host as it is sent: 4 bytes of an IPv4 address, 8 of an IPv6 /64.
func hostBytes(host netip.Prefix) []byte {
	if host.Addr().Is4() {
		return host.Addr().AsSlice()
	}
	all := host.Addr().As16()

	return all[:8]
}

// SignDelegation returns the proof of the key for one session. The host may be the zero value.
func SignDelegation(
	key ed25519.PrivateKey, host netip.Prefix, e Epoch, dialer, listener peer.ID, expires time.Time,
) *Delegation {
	d := &Delegation{Expires: uint64(expires.Unix()), Host: host}
	copy(d.Key[:], key[ed25519.SeedSize:])
	copy(d.Signature[:], ed25519.Sign(key, DelegationBytes(host, e, dialer, listener, d.Expires)))

	return d
}

// Verify returns the delegated key, or an error that says why the listener refuses it at
// this time.
func (d *Delegation) Verify(e Epoch, dialer, listener peer.ID, now time.Time) (ed25519.PublicKey, error) {
	key := ed25519.PublicKey(d.Key[:])
	// Anyone can make signatures for a key of low order.
	if edkey.LowOrder(key) {
		return nil, ErrDelegationLowOrder
	}

	id, err := p2paddr.PeerIDFromPublicKey(key)
	if err != nil {
		return nil, err
	}

	switch id {
	case dialer:
		return nil, errDelegationToSelf
	case listener:
		return nil, errDelegationOfOurs
	}

	if !ed25519.Verify(key, DelegationBytes(d.Host, e, dialer, listener, d.Expires), d.Signature[:]) {
		return nil, errDelegationSignature
	}
	switch {
	case d.Expires < uint64(now.Unix()):
		return nil, d.skewed(ErrDelegationExpired, now)
	case d.Expires > uint64(now.Add(MaxDelegationLife).Unix()):
		return nil, d.skewed(ErrDelegationLong, now)
	default:
		return key, nil
	}
}

// Ahead returns by how much the clock of the dialer is ahead of this one, if the dialer has
// just made the delegation.
func (d *Delegation) Ahead(now time.Time) time.Duration {
	return time.Unix(int64(min(d.Expires, math.MaxInt64)), 0).Add(-DelegationLife).Sub(now)
}

// skewed adds to the error how far the clocks of the two nodes differ, if the dialer has
// just made the delegation.
func (d *Delegation) skewed(err error, now time.Time) error {
	ahead, direction := d.Ahead(now), skewAhead
	if ahead < 0 {
		ahead, direction = -ahead, skewBehind
	}

	return fmt.Errorf("%w: %s%s %s", err, skewOfDialer, ahead.Round(time.Second), direction)
}

// What the text of a refusal says of the clocks (docs/sessions.md §6).
const (
	skewOfDialer = "the clock of its dialer is "
	skewAhead    = "ahead of the listener's"
	skewBehind   = "behind the listener's"
)

// SkewIn returns by how much the clock of the dialer is ahead of the listener's, if the text of a
// refusal says so.
func SkewIn(text string) (ahead time.Duration, ok bool) {
	_, said, _ := strings.Cut(text, skewOfDialer)
	amount, direction, _ := strings.Cut(said, " ")
	ahead, err := time.ParseDuration(amount)
	switch {
	case err != nil || ahead < 0:
		return 0, false
	case direction == skewAhead:
		return ahead, true
	case direction == skewBehind:
		return -ahead, true
	default:
		return 0, false
	}
}
