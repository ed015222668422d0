package lp2p

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// quicStreams is how many streams go-libp2p lets a remote have open on one
	// QUIC connection (its quicreuse package); opening one more waits.
	quicStreams = 256
	// quicSpareStreams are for what is no session.
	quicSpareStreams = 32
	// listenAttempts is how often the system is asked for a port that is free for
	// both TCP and UDP.
	listenAttempts = 16
)

// quicMode says what QUIC is used for.
type quicMode uint8

const (
	quicOff quicMode = iota
	quicPreferred
	quicForced
)

// WithQUIC makes the node listen on UDP for QUIC, at the IP and port number of its
// TCP listener, and dial both: libp2p begins with QUIC and tries TCP 250 ms later,
// 30 ms in private networks and on loopback, unless it is connected by then, and
// keeps the first connection (swarm.DefaultDialRanker). That delay is all that a
// remote without QUIC costs. With several addresses of one host name it may be
// doubled. Where nobody answers at all, a dial takes its whole timeout, since UDP
// tells nothing.
//
// A node that is only known by its TM2 ID is still asked over TCP who it is.
//
// On a QUIC connection there is one window for all streams: sessions that share it,
// as those of a bridge, may slow each other down. At most 256 streams of each side
// fit into it, and so (256-32)/(1+channels) sessions; more are refused as full.
func WithQUIC() Option {
	return func(o *options) error {
		o.quic = quicPreferred

		return nil
	}
}

// WithQUICOnly is WithQUIC, but does not dial TCP, except to ask who answers at an
// address. It is for tests and measurements.
func WithQUICOnly() Option {
	return func(o *options) error {
		o.quic = quicForced

		return nil
	}
}

// dialAddrs returns the addresses to dial for one IP and port.
func (o *options) dialAddrs(ip net.IP, port uint16) ([]multiaddr.Multiaddr, error) {
	var addrs []multiaddr.Multiaddr
	if o.quic != quicOff {
		quic, err := quicMultiaddr(ip, port)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, quic)
	}
	if o.quic != quicForced {
		tcp, err := tcpMultiaddr(ip, port)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, tcp)
	}

	return addrs, nil
}

// openListeners opens the listeners and returns their port. With port 0 the system
// chooses one; for QUIC it has to be free for UDP too.
func (t *Transport) openListeners(addr types.NetAddress) (uint16, error) {
	for attempt := 1; ; attempt++ {
		port, err := t.listenTCP(addr)
		if err != nil || t.opts.quic == quicOff {
			return port, err
		}
		quic, err := quicMultiaddr(addr.IP, port)
		if err != nil {
			return 0, err
		}
		if err = t.host.Network().Listen(quic); err == nil {
			return port, nil
		}
		t.closeListeners()
		if addr.Port != 0 || attempt == listenAttempts {
			return 0, fmt.Errorf("QUIC: %w", err)
		}
	}
}

func (t *Transport) listenTCP(addr types.NetAddress) (uint16, error) {
	tcp, err := tcpMultiaddr(addr.IP, addr.Port)
	if err != nil {
		return 0, err
	}
	if err := t.host.Network().Listen(tcp); err != nil {
		return 0, err
	}
	for _, a := range t.host.Network().ListenAddresses() {
		if _, port, ok := endpoint(a); ok && !isUDP(a) {
			return port, nil
		}
	}

	return 0, errors.New("listener has no address")
}

// listenCloser is the power of a swarm to close some of its listeners.
type listenCloser interface {
	ListenClose(addrs ...multiaddr.Multiaddr)
}

func (t *Transport) closeListeners() {
	if n, ok := t.host.Network().(listenCloser); ok {
		n.ListenClose(slices.DeleteFunc(t.host.Network().ListenAddresses(), isCircuit)...)
	}
}

// checkRoom refuses a session for whose streams a QUIC connection has no room. The
// connection is retained for it.
func (t *Transport) checkRoom(c network.Conn) error {
	if !isUDP(c.RemoteMultiaddr()) {
		return nil
	}
	t.mtx.Lock()
	defer t.mtx.Unlock()

	most := (quicStreams - quicSpareStreams) / (1 + len(t.nodeInfo.Channels))
	if ref := t.conns[c]; ref != nil && ref.refs > most {
		return compat.Reject(compat.RejectFull, "more than %d sessions on a QUIC connection", most)
	}

	return nil
}

// endpoint returns the IP and the TCP or UDP port with which a multiaddr begins.
// There is none for a relayed connection: its address is that of the relay.
func endpoint(a multiaddr.Multiaddr) (ip net.IP, port uint16, ok bool) {
	if _, err := a.ValueForProtocol(multiaddr.P_CIRCUIT); err == nil {
		return nil, 0, false
	}
	a = unzoned(a)
	if len(a) < 2 {
		return nil, 0, false
	}
	if code := a[0].Code(); code != multiaddr.P_IP4 && code != multiaddr.P_IP6 {
		return nil, 0, false
	}
	if code := a[1].Code(); code != multiaddr.P_TCP && code != multiaddr.P_UDP {
		return nil, 0, false
	}

	return net.IP(a[0].RawValue()), binary.BigEndian.Uint16(a[1].RawValue()), true
}

// unzoned is the multiaddr without the zone of a link-local address.
func unzoned(a multiaddr.Multiaddr) multiaddr.Multiaddr {
	if len(a) > 0 && a[0].Code() == multiaddr.P_IP6ZONE {
		return a[1:]
	}

	return a
}

// isUDP reports whether a multiaddr is one over UDP, as QUIC's.
func isUDP(a multiaddr.Multiaddr) bool {
	a = unzoned(a)

	return len(a) >= 2 && a[1].Code() == multiaddr.P_UDP
}

// netAddr returns the remote end of a connection for package net; it has no IP
// where none is known.
func netAddr(a multiaddr.Multiaddr) net.Addr {
	ip, port, ok := endpoint(a)
	switch {
	case !ok:
		return &net.TCPAddr{}
	case isUDP(a):
		return &net.UDPAddr{IP: ip, Port: int(port)}
	default:
		return &net.TCPAddr{IP: ip, Port: int(port)}
	}
}

func tcpMultiaddr(ip net.IP, port uint16) (multiaddr.Multiaddr, error) {
	return ipMultiaddr(ip, fmt.Sprintf("/tcp/%d", port))
}

func quicMultiaddr(ip net.IP, port uint16) (multiaddr.Multiaddr, error) {
	return ipMultiaddr(ip, fmt.Sprintf("/udp/%d/quic-v1", port))
}

func ipMultiaddr(ip net.IP, rest string) (multiaddr.Multiaddr, error) {
	if ip == nil {
		return nil, errors.New("address has no IP")
	}
	version := "/ip6/"
	if ip.To4() != nil {
		version = "/ip4/"
	}

	return multiaddr.NewMultiaddr(version + ip.String() + rest)
}
