package probe

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
)

// The names of the stacks.
const (
	StackNative = "native"
	StackLibp2p = "libp2p"
)

// Result is what a probe found out.
type Result struct {
	// Address is the IP and port that answered.
	Address string
	// Stacks are the stacks that answered, StackLibp2p first.
	Stacks []string
	// Dialect of the native stack: "A", "B" or "C" (docs/wire.md §1), or "A or B"
	// when the remote sent no NodeInfo. Empty when the native stack did not answer.
	Dialect string
	// ID is the TM2 ID of the key that the remote proved to own. It is empty when
	// the authentication failed.
	ID types.ID
	// PeerID is the libp2p peer ID of the same key. It is empty when ID is.
	PeerID string
	// NodeInfo is nil when the remote sent none; Notes then say why.
	NodeInfo *types.NodeInfo
	// ConnectTime is the duration of a TCP connect, about one round trip.
	ConnectTime time.Duration
	// HandshakeTime is the duration of the handshake of the secret connection, or of
	// a TCP connect with the libp2p security handshake.
	HandshakeTime time.Duration
	// QUIC tells whether the node answers over QUIC. It is nil when that was not tried.
	QUIC *bool
	// Bridge tells that the NodeInfo is that of a bridge.
	Bridge bool
	// Withheld tells that the node sent no NodeInfo over the native protocol before it had
	// received one, as bridges do.
	Withheld bool
	// Peers tells what the node answered when it was asked for other nodes. It is nil when
	// it was not asked.
	Peers *Peers
	// Notes are remarks for the user.
	Notes []string
}

// Options says what a probe does beside identifying the node.
type Options struct {
	// QUIC has a libp2p node tried over QUIC too, at the port of the address.
	QUIC bool
	// Peers has the node asked for other nodes: by peer exchange, for which the probe becomes
	// its peer for a moment, and over libp2p by the DHT.
	Peers bool
	// Network is whose nodes are asked for others. If it is empty, all are.
	Network string

	nodeInfoWait time.Duration // set by tests; zero: nodeInfoWait
}

// asksPeersOf reports whether the node is to be asked for others.
func (o Options) asksPeersOf(r *Result) bool {
	return o.Peers && r.NodeInfo != nil && (o.Network == "" || o.Network == r.NodeInfo.Network)
}

// Probe is Options.Probe with the zero value.
func Probe(ctx context.Context, address string) (*Result, error) {
	return Options{}.Probe(ctx, address)
}

// Probe identifies the node at address, which is ID@host:port or host:port. The context
// bounds it: without a deadline, a silent remote blocks Probe until the context is
// cancelled. All connections are closed when Probe returns.
//
// The Result is nil only when no stack answered; Probe returns a Result with an error
// when it fails later. The error is a *compat.WrongIDError when the remote does not have the ID
// in the address.
func (o Options) Probe(ctx context.Context, address string) (*Result, error) {
	asked, hostPort, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	conn, took, err := dial(ctx, hostPort)
	if err != nil {
		return nil, fmt.Errorf("%s: unable to connect: %w", hostPort, err)
	}
	p := &prober{Options: o, hostPort: conn.RemoteAddr().String(), asked: asked, connectTime: took}
	g, err := identify(ctx, conn, took)
	if err != nil {
		_ = conn.Close() // the conn has failed already
		return nil, fmt.Errorf("%s: %w", p.hostPort, err)
	}

	r := &Result{Address: p.hostPort, ConnectTime: took}
	err = p.ask(ctx, conn, g, r)
	switch {
	case err != nil || !g.slow:
	case g.stack == StackLibp2p:
		p.askForNative(ctx, r)
	default:
		p.askForLibp2p(ctx, r)
	}
	if err == nil && p.asksPeersOf(r) && slices.Equal(r.Stacks, []string{StackLibp2p}) {
		p.exchangeOverLibp2p(ctx, r)
	}
	if len(r.Stacks) == 0 {
		return nil, err
	}
	r.Bridge = r.NodeInfo != nil && bridge.IsOwnNodeInfo(*r.NodeInfo)

	return r, err
}

// prober is a probe whose first TCP connection is open.
type prober struct {
	Options

	hostPort    string
	asked       types.ID // empty: any
	connectTime time.Duration
}

// ask authenticates the remote over its stack and closes conn. A native node that was greeted
// gets a new connection, since conn has begun the libp2p protocol.
func (p *prober) ask(ctx context.Context, conn *sniff.PeekedConn, g greeting, r *Result) error {
	if g.stack == StackNative && !g.greeted {
		return p.askNative(ctx, conn, r)
	}
	if err := conn.Close(); err != nil {
		return fmt.Errorf("%s: unable to close the first connection: %w", p.hostPort, err)
	}
	if g.stack == StackLibp2p {
		return p.askLibp2p(ctx, r)
	}
	conn, _, err := dial(ctx, p.hostPort)
	if err != nil {
		return fmt.Errorf("%s: unable to connect again: %w", p.hostPort, err)
	}

	return p.askNative(ctx, conn, r)
}

// verify sets the authenticated ID and compares it with the one asked for.
func (p *prober) verify(r *Result, id types.ID) error {
	r.ID = id
	if p.asked != "" && p.asked != id {
		return &compat.WrongIDError{Addr: p.hostPort, Asked: p.asked, Found: id}
	}

	return nil
}

// ParseAddress splits [scheme://][ID@]host:port. The ID is empty if there is none.
func ParseAddress(address string) (types.ID, string, error) {
	rest := address
	if _, after, found := strings.Cut(address, "://"); found {
		rest = after
	}
	var id types.ID
	if before, after, found := strings.Cut(rest, "@"); found {
		var err error
		if id, err = types.ParseID(before); err != nil {
			return "", "", fmt.Errorf("address %q: %q is not a TM2 ID: %w", address, before, err)
		}
		rest = after
	}
	host, portText, err := net.SplitHostPort(rest)
	if err != nil || host == "" {
		return "", "", fmt.Errorf("address %q: it must be ID@host:port or host:port", address)
	}
	if port, err := strconv.ParseUint(portText, 10, 16); err != nil || port == 0 {
		return "", "", fmt.Errorf("address %q: %q is not a port between 1 and 65535", address, portText)
	}

	return id, rest, nil
}

// dial resolves the host and connects to the first of its addresses that accepts. It
// returns the duration of that connect alone.
func dial(ctx context.Context, hostPort string) (*sniff.PeekedConn, time.Duration, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, 0, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, 0, err
	}
	var dialer net.Dialer
	for _, ip := range ips {
		var conn net.Conn
		begin := time.Now()
		conn, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort(ip.Unmap().String(), port))
		if err == nil {
			return sniff.NewPeekedConn(conn), time.Since(begin), nil
		}
	}
	if err == nil {
		err = fmt.Errorf("%s has no address", host)
	}

	return nil, 0, err
}
