package pex

import (
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
)

// What a Reactor does unless it is told otherwise.
const (
	// DefaultDiscoveryInterval is how often one random peer is asked, as in TM2
	// (docs/wire.md §6).
	DefaultDiscoveryInterval = 3 * time.Second
	// DefaultSaveInterval is that of the address book.
	DefaultSaveInterval = addrbook.DefaultSaveInterval
)

// Option configures a Reactor while it is built.
type Option func(*Reactor)

// WithDiscoveryInterval sets how often one random peer is asked. TM2 nodes do so
// every 3 s, and a node of this package answers a peer once a second at most. An
// interval that is not positive makes Start fail.
func WithDiscoveryInterval(interval time.Duration) Option {
	return func(r *Reactor) { r.setInterval(&r.interval, interval, "discovery") }
}

// WithSaveInterval sets how often the book is saved when it has changed. An
// interval that is not positive makes Start fail.
func WithSaveInterval(interval time.Duration) Option {
	return func(r *Reactor) { r.setInterval(&r.saveInterval, interval, "save") }
}

// WithPrivateNetworks tells loopback and private addresses to every peer, and believes
// every peer about them, as TM2 does. Without it they pass only to and from a peer that
// is connected from an address of the same kind, and are believed only if this node
// announces one too. A network that mixes private and public addresses, as over a VPN,
// needs it.
func WithPrivateNetworks() Option {
	return func(r *Reactor) { r.privateNetworks = true }
}

func (r *Reactor) setInterval(field *time.Duration, interval time.Duration, name string) {
	if interval <= 0 {
		r.optionErr = errors.Join(r.optionErr, fmt.Errorf("%s interval %s is not positive", name, interval))

		return
	}
	*field = interval
}
