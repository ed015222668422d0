package conduct

import (
	"log/slog"
	"net/netip"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

// Keeper keeps a Book for a program that has exempt peers, and logs whom it refuses.
type Keeper struct {
	*Book

	// AllowDuplicateIP tells that several nodes may share an IP, so that points count against IDs
	// only.
	AllowDuplicateIP bool
	// IsExemptHost reports whether an exempt peer may connect from the host.
	IsExemptHost func(netip.Prefix) bool
	// Log gets a line for who is refused, summed up.
	Log *summary.Log
}

// Accountable returns the host if points count against it, and else none. They do not count
// against a loopback IP, which all nodes on the machine share, nor against any IP with
// AllowDuplicateIP. The host of an exempt peer must stay open for that peer, which may have any
// host until it has been connected.
func (k Keeper) Accountable(host netip.Prefix) netip.Prefix {
	if k.AllowDuplicateIP || netgroup.KindOf(host.Addr()) == netgroup.Loopback || k.IsExemptHost(host) {
		return netip.Prefix{}
	}

	return host
}

// ChargeConn charges an accountable host for an inbound connection, and returns why the host is
// refused, or nil.
func (k Keeper) ChargeConn(host netip.Prefix, points float64) error {
	if wait := k.Charge("", host, points, ErrManyConns); wait > 0 {
		k.Log.Event(slog.LevelWarn, host.Addr(), "host is refused for a while", "connections",
			"host", netgroup.Name(host), "for", wait, "err", ErrManyConns)
	}

	return k.Refusal("", host)
}

// Blame charges an ID, and an accountable host if there is one, for what the peer has done. from is
// its IP, and args say more of it in the log.
func (k Keeper) Blame(id types.ID, host netip.Prefix, from netip.Addr, points float64, reason error, args ...any) {
	if wait := k.Charge(id, host, points, reason); wait > 0 {
		k.Log.Event(slog.LevelWarn, from, "peer is refused for a while", "conduct",
			append([]any{"peer", id, "for", wait, "err", reason}, args...)...)
	}
}
