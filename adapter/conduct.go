package adapter

import (
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// errFlaps is the reason for refusing that a network evicts anybody.
var errFlaps = errors.New("its peers took the places of others and left at once")

// keeper keeps the switch's conduct book.
func (sw *MultiplexSwitch) keeper() conduct.Keeper {
	return conduct.Keeper{
		Book: sw.conduct, AllowDuplicateIP: sw.registry.allowDuplicateIP, IsExemptHost: sw.lists.isExemptHost, Log: sw.refused,
	}
}

// accountable returns the host if points count against it, and else none.
func (sw *MultiplexSwitch) accountable(host netip.Prefix) netip.Prefix {
	return sw.keeper().Accountable(host)
}

// chargeConn charges the host of the stranger for an inbound connection. It returns a refusal
// if the host is refused.
func (sw *MultiplexSwitch) chargeConn(stranger candidate) error {
	points := float64(conduct.ConnPoints)
	if sw.registry.admissible(stranger) != nil {
		points = conduct.RefusedPoints
	}

	return sw.keeper().ChargeConn(stranger.answers, points)
}

// chargeAgain charges an admissible peer as for an inbound connection, because it uses one on
// which another session has ended. It returns a refusal if the peer or its host is refused. Many
// nodes share the connection of a bridge, and any of them may come and go: so each pays itself,
// and the host of the bridge a tenth.
func (sw *MultiplexSwitch) chargeAgain(c candidate) error {
	k := sw.keeper()
	switch {
	case c.exempt || !c.answers.IsValid():
		return nil
	case c.delegate == "":
		return k.ChargeConn(c.answers, conduct.ConnPoints)
	}
	k.Blame(c.id, netip.Prefix{}, c.answers.Addr(), conduct.ConnPoints, conduct.ErrManyConns)
	if err := k.ChargeConn(c.answers, conduct.RefusedPoints); err != nil {
		return err
	}

	return k.Refusal(c.id, netip.Prefix{})
}

// blame refuses the peer of a connection that has ended because the peer broke the protocol.
// An exempt peer is only reported. A bridge passes on what it cannot judge, such as a message that
// is larger than this node takes: its host pays little for the peers that it presents, so that
// one of them does not shut out the others, and nothing if the bridge is exempt.
func (sw *MultiplexSwitch) blame(c *connection, reason error) {
	if sw.lists.isExempt(c.id) {
		sw.Logger.Warn("configured peer misbehaves", "peer", c.id, "address", c.conn.RemoteAddr(), "err", reason)

		return
	}
	k, host := sw.keeper(), sw.accountable(hostOf(c.conn))
	if bridge := compat.Delegate(c.conn); bridge != "" {
		if host.IsValid() && !sw.lists.isExempt(bridge) {
			k.Blame("", host, host.Addr(), conduct.RefusedPoints, reason, "bridge", bridge, "host", netgroup.Name(host))
		}
		host = netip.Prefix{}
	}
	k.Blame(c.id, host, netgroup.FromIP(c.conn.RemoteIP()), conduct.ViolationPoints, reason, "address", c.conn.RemoteAddr())
}

// blameSource charges the peer that has told the address of a dial at which another node
// answers. Peers pass on what others announce, so it loses no more than its hints for a while.
func (sw *MultiplexSwitch) blameSource(t *dial, err error) {
	if t.source == "" || compat.ClassifyDial(err) != compat.DialWrongID || sw.lists.isExempt(t.source) {
		return
	}
	if wait := sw.conduct.ChargeSource(t.source, err); wait > 0 {
		sw.refused.Event(slog.LevelWarn, netgroup.FromIP(t.addr.IP), "hints of a peer are not dialed for a while", "wrong addresses",
			"peer", t.source, "for", wait, "err", err)
	}
}

// flapped charges the network of a peer that has taken the place of another one in vain, unless this
// node itself has sent it away.
func (sw *MultiplexSwitch) flapped(network netip.Prefix, reason error) {
	if !isOwnWish(reason) {
		sw.conduct.Charge("", network, conduct.FlapPoints, errFlaps)
	}
}

// judgeEnd settles what the end of a connection says of its peer. One that has taken the place of
// another peer and is soon gone has taken it in vain.
func (sw *MultiplexSwitch) judgeEnd(c *connection, reason error, uptime time.Duration) {
	if c.evicted && uptime < usefulUptime {
		sw.flapped(c.networks[0], reason)
	}
	switch {
	case errors.Is(reason, compat.ErrViolation):
		sw.blame(c, reason)
	case uptime >= usefulUptime:
		sw.conduct.Pardon(hostOf(c.conn))
	}
}

// isOwnWish reports whether this node has ended a connection for a reason that says nothing of its
// peer.
func isOwnWish(reason error) bool {
	own := []error{errEvicted, errReplaced, errConnected, errBlocked, errSeedHangUp, errAddressGone}

	return slices.ContainsFunc(own, func(err error) bool { return errors.Is(reason, err) })
}

// hostOf returns the host of the remote. It is not valid if its IP is not known.
func hostOf(conn compat.PeerConn) netip.Prefix {
	return netgroup.Host(netgroup.FromIP(conn.RemoteIP()))
}
