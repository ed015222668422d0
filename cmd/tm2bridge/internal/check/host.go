package check

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// ports tries to listen at each address of the bridge.
func (r *run) ports(ctx context.Context) {
	libp2p := r.bridge.Libp2pListen.DialString()
	if r.IsRunning(r.key.ID()) {
		r.note("ports", "the bridge of this home runs, and has its ports")

		return
	}
	native, err := r.bridge.NativeAddresses(*r.key)
	if err != nil {
		r.fault("node key", "restore the file from your backup; a new key is a new identity", "%v", err)
	}
	for i, at := range native {
		key := "[p2p].laddr"
		if i > 0 {
			key = "[bridge].identities"
		}
		r.port(ctx, key, "tcp", at.DialString())
	}
	for _, target := range r.bridge.Tunnels {
		r.port(ctx, "[bridge].tunnels", "tcp", target.Listen.DialString())
	}
	r.port(ctx, "[bridge].libp2p_laddr", "tcp", libp2p)
	if r.bridge.Libp2pQUIC {
		r.port(ctx, "[bridge].libp2p_quic", "udp", libp2p)
	}
	if r.config.HTTP.ListenAddress != "" {
		r.port(ctx, "[http].laddr", "tcp", strings.TrimPrefix(r.config.HTTP.ListenAddress, "tcp://"))
	}
}

func (r *run) port(ctx context.Context, key, network, address string) {
	var lc net.ListenConfig
	var err error
	if network == "udp" {
		var conn net.PacketConn
		if conn, err = lc.ListenPacket(ctx, network, address); err == nil {
			err = conn.Close()
		}
	} else {
		var listener net.Listener
		if listener, err = lc.Listen(ctx, network, address); err == nil {
			err = listener.Close()
		}
	}
	switch {
	case err == nil:
		r.ok(key, "%s port of %s is free", strings.ToUpper(network), address)
	case errors.Is(err, syscall.EADDRINUSE):
		r.fault(key, "stop the program that has the port, which ss -lnp shows, or choose another one", "%v", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		r.fault(key, "use an IP of this machine, or 0.0.0.0 for all", "%v", err)
	case errors.Is(err, syscall.EACCES):
		r.fault(key, "use a port of 1024 or more, or give the program CAP_NET_BIND_SERVICE", "%v", err)
	default:
		r.fault(key, "choose another address", "%v", err)
	}
}

// reach tells from where nodes can dial the bridge, as far as this machine can know.
func (r *run) reach() {
	for _, at := range []struct {
		key    string
		listen types.NetAddress
	}{{"[p2p].laddr", r.bridge.NativeListen}, {"[bridge].libp2p_laddr", r.bridge.Libp2pListen}} {
		var public, private []string
		for _, ip := range ips(at.listen.IP) {
			switch {
			case ip.IsLoopback():
			case netgroup.KindOf(ip) == netgroup.Public:
				public = append(public, ip.String())
			default:
				private = append(private, ip.String())
			}
		}
		switch {
		case len(public) > 0:
			r.ok(at.key, "nodes anywhere can dial %s, if no firewall is in between; try it from another machine: tm2net probe %s@%s",
				strings.Join(public, " and "), r.key.ID(), net.JoinHostPort(public[0], portOf(at.listen)))
		case len(private) > 0:
			r.note(at.key, "only nodes of the same network can dial %s; for others forward TCP port %s of a public address to it",
				strings.Join(private, " and "), portOf(at.listen))
		default:
			r.note(at.key, "only nodes on this machine can dial %s; listen at 0.0.0.0 for others", at.listen.IP)
		}
	}
}

func portOf(addr types.NetAddress) string {
	_, port, err := net.SplitHostPort(addr.DialString())
	if err != nil {
		return ""
	}

	return port
}

// ips returns the IPs at which a listener can be dialed.
func ips(listen net.IP) (list []netip.Addr) {
	if !listen.IsUnspecified() {
		return []netip.Addr{netgroup.FromIP(listen)}
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, i := range interfaces {
		if prefix, err := netip.ParsePrefix(i.String()); err == nil && !prefix.Addr().IsLinkLocalUnicast() {
			list = append(list, prefix.Addr().Unmap())
		}
	}

	return list
}

// clock checks the clock of this machine: delegations, by which a bridge presents nodes, hold
// for a short time only.
func (r *run) clock() {
	synchronized, known := clockSynchronized()
	switch {
	case !known:
		r.note("clock", "this system does not tell whether its clock is synchronized; it may be wrong by a minute at most")
	case synchronized:
		r.ok("clock", "the kernel says that it is synchronized")
	default:
		r.note("clock", "the kernel says that it is not synchronized: run an NTP client, since libp2p nodes refuse a bridge whose clock differs by minutes")
	}
}
