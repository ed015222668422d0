package lp2p

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Inquiry is a connection to a node for a program that asks it something without becoming
// its peer: under a temporary identity, from a host that listens nowhere and has no session.
// All methods may be called concurrently. The caller closes it.
type Inquiry struct {
	host host.Host
	peer peer.ID
	at   netip.AddrPort
}

// Inquire connects to the node with the peer ID, which ProbeIdentity finds out. The options
// are those of NewTransport: with WithQUICOnly it connects over QUIC. It takes at most the
// default Dial timeout, less if ctx ends earlier.
func Inquire(ctx context.Context, id peer.ID, at netip.AddrPort, opts ...Option) (*Inquiry, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	addrs, err := o.dialAddrs(at.Addr().AsSlice(), at.Port())
	if err != nil {
		return nil, err
	}
	h, err := newHost(key, o, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeouts.Dial)
	defer cancel()
	if err := h.Connect(ctx, peer.AddrInfo{ID: id, Addrs: addrs}); err != nil {
		_ = h.Close() // it has no connection

		return nil, fmt.Errorf("%s: %w", at, err)
	}

	return &Inquiry{host: h, peer: id, at: at}, nil
}

// Peer returns the peer ID that the node has proved to own.
func (q *Inquiry) Peer() peer.ID { return q.peer }

// RemoteIP returns the IP at which the node is asked.
func (q *Inquiry) RemoteIP() netip.Addr { return q.at.Addr() }

// Stream opens a stream for the protocol, waiting until the node has agreed to it. The caller sets
// deadlines on the stream and closes it. The error says if the node does not speak the protocol.
func (q *Inquiry) Stream(ctx context.Context, id protocol.ID) (network.Stream, error) {
	return stream.OpenTo(ctx, q.host, q.peer, id)
}

// NodeInfo asks for the NodeInfo. It checks that it is valid and names the node. It takes at
// most the default Handshake timeout, less if ctx ends earlier.
func (q *Inquiry) NodeInfo(ctx context.Context) (info types.NodeInfo, err error) {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeouts().Handshake)
	defer cancel()
	s, err := q.Stream(ctx, NodeInfoProtocol)
	if err != nil {
		return info, err
	}
	defer func() { _ = s.Reset() }() // the answer has been read, or does not matter
	defer context.AfterFunc(ctx, func() { _ = s.SetDeadline(stream.LongAgo) })()

	if info, err = stream.ReadNodeInfo(s); err != nil {
		return info, err
	}
	if err := info.Validate(); err != nil {
		return info, fmt.Errorf("it is not valid: %w", err)
	}
	id, err := p2paddr.TM2ID(q.peer)
	if err != nil {
		return info, err
	}
	if info.ID() != id {
		return info, fmt.Errorf("it names %s, authenticated as %s", info.ID(), id)
	}

	return info, nil
}

// Close ends the connection and waits for the goroutines of the host.
func (q *Inquiry) Close() error { return q.host.Close() }

// FetchNodeInfo asks the node at the address for its NodeInfo, under a temporary identity
// and without becoming its peer. It takes at most the sum of the default Dial and
// Handshake timeouts, less if ctx ends earlier. A *compat.WrongIDError says that another
// node answers there.
func FetchNodeInfo(ctx context.Context, addr types.NetAddress) (info types.NodeInfo, err error) {
	timeouts := DefaultTimeouts()
	ctx, cancel := context.WithTimeout(ctx, timeouts.Dial+timeouts.Handshake)
	defer cancel()
	if info, err = fetchNodeInfo(ctx, addr); err != nil {
		return types.NodeInfo{}, fmt.Errorf("unable to get the node info of %s: %w", addr.String(), err)
	}

	return info, nil
}

func fetchNodeInfo(ctx context.Context, addr types.NetAddress) (info types.NodeInfo, err error) {
	id, err := ProbeIdentity(ctx, addr.DialString())
	if err != nil {
		return info, err
	}
	if err := checkFound(addr, id); err != nil {
		return info, err
	}
	ip, _ := netip.AddrFromSlice(addr.IP)
	q, err := Inquire(ctx, id, netip.AddrPortFrom(ip.Unmap(), addr.Port))
	if err != nil {
		return info, err
	}
	info, err = q.NodeInfo(ctx)
	if closeErr := q.Close(); err == nil {
		err = closeErr
	}

	return info, err
}
