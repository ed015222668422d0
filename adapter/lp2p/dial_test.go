package lp2p

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
)

func TestDialProbesAndLearns(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	_, known := p2paddr.Known(a.book, b.key.ID())
	require.False(t, known)
	pa, pb := connect(t, a, b)
	id, known := p2paddr.Known(a.book, b.key.ID())
	require.True(t, known)
	require.Equal(t, b.Host().ID(), id)
	require.NoError(t, pa.Stop())
	stopped(t, b.failure(t).peer.(*Peer))
	stopped(t, pb)

	// The former connection may still be closing.
	connect(t, a, b)
}

// A configured name is looked up at each dial: it may not resolve at first, and
// lead somewhere else later.
func TestDialByHostName(t *testing.T) {
	names := dnstest.Install(t)
	a, b := newNode(t, nil), newNode(t, nil)
	b.acceptLoop(t)
	addr := b.NetAddress()
	addr.IP, addr.Hostname = nil, "node.example"
	for _, known := range []bool{false, true} { // by probe, then by libp2p itself
		names.Set("node.example", nil)
		_, err := a.Dial(timeout(t), addr, a.behavior)
		var unresolved *net.DNSError
		require.ErrorAs(t, err, &unresolved)
		require.True(t, unresolved.IsNotFound)

		names.Set("node.example", net.IPv4(127, 0, 0, 2)) // nobody listens there
		_, err = a.Dial(timeout(t), addr, a.behavior)
		var refused *net.OpError
		require.ErrorAs(t, err, &refused)
		require.ErrorContains(t, err, "127.0.0.2")

		names.Set("node.example", net.IPv4(127, 0, 0, 1))
		_, learned := p2paddr.Known(a.book, b.key.ID())
		require.Equal(t, known, learned)
		p, err := a.Dial(timeout(t), addr, a.behavior)
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1", p.RemoteIP().String())
		require.True(t, p.SocketAddr().IP.IsLoopback())
		a.Remove(p)
		require.Eventually(t, func() bool {
			return a.Host().Network().Connectedness(b.Host().ID()) != network.Connected
		}, patience, time.Millisecond)
	}
}

func TestDialWrongNode(t *testing.T) {
	a, b, c := newNode(t, nil), newNode(t, nil), newNode(t, nil)
	addr := b.NetAddress()
	addr.ID = c.key.ID()

	for _, known := range []bool{false, true} { // by probe, then by libp2p itself
		if known {
			_, err := p2paddr.Learn(a.book, c.Host().ID())
			require.NoError(t, err)
		}
		_, err := a.Dial(timeout(t), addr, a.behavior)
		var wrong *compat.WrongIDError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, compat.WrongIDError{
			Addr: addr.DialString(), Asked: c.key.ID(), Found: b.key.ID(), FoundPeer: b.Host().ID().String(),
		}, *wrong)
		require.ErrorContains(t, err, string(b.key.ID()))
		require.ErrorContains(t, err, string(c.key.ID()))
	}
	noPending(t, b)
}

func TestDialSelf(t *testing.T) {
	a := newNode(t, nil)
	_, err := a.Dial(timeout(t), a.NetAddress(), a.behavior)
	require.Equal(t, compat.RejectSelf, rejectOf(t, err).Code)
}

// foreign listens and calls the function with each connection.
func foreign(t *testing.T, speak func(net.Conn)) types.NetAddress {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				speak(c)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })

	return types.NetAddress{
		ID: types.GenerateNodeKey().ID(), IP: net.IPv4(127, 0, 0, 1), Port: uint16(l.Addr().(*net.TCPAddr).Port),
	}
}

func TestDialSomethingElse(t *testing.T) {
	for name, speak := range map[string]func(net.Conn){
		"closes":      func(net.Conn) {},
		"native node": func(c net.Conn) { _, _ = c.Write(append([]byte{0x22, 0x0a, 0x20}, make([]byte, 32)...)) },
		"web server":  func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"no noise":    func(c net.Conn) { _, _ = c.Write([]byte("\x13/multistream/1.0.0\n\x03na\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			a := newNode(t, nil)
			_, err := a.Dial(timeout(t), foreign(t, speak), a.behavior)
			require.ErrorIs(t, err, ErrNotLibp2p)
		})
	}
}

func TestDialSilence(t *testing.T) {
	timeouts := DefaultTimeouts()
	timeouts.Dial = 50 * time.Millisecond
	a := newNode(t, nil, WithTimeouts(timeouts))
	silent := func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<10)); _, _ = c.Read(make([]byte, 1)) }
	_, err := a.Dial(timeout(t), foreign(t, silent), a.behavior)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, ErrNotLibp2p)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = a.Dial(ctx, foreign(t, silent), a.behavior)
	require.ErrorIs(t, err, context.Canceled)
}

func TestDialNobody(t *testing.T) {
	a := newNode(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	require.NoError(t, l.Close())
	_, err = a.Dial(timeout(t), types.NetAddress{
		ID: types.GenerateNodeKey().ID(), IP: net.IPv4(127, 0, 0, 1), Port: port,
	}, a.behavior)
	require.ErrorContains(t, err, "connection refused")
	require.NotErrorIs(t, err, ErrNotLibp2p)
}

func TestProbeIdentity(t *testing.T) {
	a := newNode(t, nil)
	addr := a.NetAddress()
	id, err := ProbeIdentity(timeout(t), addr.DialString())
	require.NoError(t, err)
	require.Equal(t, a.Host().ID(), id)
	tm2, err := p2paddr.TM2ID(id)
	require.NoError(t, err)
	require.Equal(t, a.key.ID(), tm2)
	require.Equal(t, id, peerID(t, a.key))
}

func TestIncompatible(t *testing.T) {
	other := func(i *types.NodeInfo) { i.Network = "other" }
	a, b := newNode(t, nil), newNode(t, other)
	a.acceptLoop(t)
	b.acceptLoop(t)
	for _, pair := range [][2]*node{{a, b}, {b, a}} {
		_, err := pair[0].dial(t, pair[1])
		r := rejectOf(t, err)
		require.Equal(t, compat.RejectIncompatible, r.Code)
		require.True(t, r.Remote)
		require.Contains(t, r.Reason, `"other"`)
		require.Contains(t, r.Reason, `"test"`)
	}
}

// A refusal by the dialer stays the reason if the dial has to end before the remote has
// noticed.
func TestDialerDeclinesInTheLastMoment(t *testing.T) {
	timeouts := patientTimeouts()
	timeouts.Linger = patience
	n, r := newNode(t, nil, WithTimeouts(timeouts)), newRaw(t)
	ctx, cancel := context.WithCancel(timeout(t))
	defer cancel()
	r.info.Network = "other"
	r.host.SetStreamHandler(SessionProtocol, func(s network.Stream) {
		if m, err := control.Read(s); err == nil {
			h := m.(*control.Hello)
			_, _ = s.Write(control.Append(nil, &control.Accept{Epoch: h.Epoch, NodeInfo: r.hello(h.Epoch).NodeInfo}))
			_, _ = control.Read(s)
			cancel()
		}
	})
	begun := time.Now()
	_, err := n.Dial(ctx, r.listen(), n.behavior)
	require.Less(t, time.Since(begun), timeouts.Linger)
	require.Equal(t, compat.RejectIncompatible, rejectOf(t, err).Code)
	require.Equal(t, compat.DialOtherNetwork, compat.ClassifyDial(err))
}

// The dialer may refuse a session that the listener has accepted. Then the listener learns
// the reason.
func TestDialerDeclines(t *testing.T) {
	a, b := newNode(t, nil, patientGoodbye()), newNode(t, nil, patientGoodbye())
	started := make(chan error, 1)
	go func() {
		p, err := b.AcceptPending(timeout(t))
		if err != nil {
			started <- err

			return
		}
		local := b.info
		local.Network = "other"
		p.node.Network = "other" // as if the rules differed
		conn, err := p.Complete(timeout(t), local, b.behavior)
		if err == nil {
			err = conn.Start()
		}
		started <- err
	}()
	_, err := a.dial(t, b)
	require.Equal(t, compat.RejectIncompatible, rejectOf(t, err).Code)
	if err = <-started; err == nil { // else the goodbye has come before the start
		err = b.failure(t).err
	}
	r := rejectOf(t, err)
	require.Equal(t, compat.RejectIncompatible, r.Code)
	require.True(t, r.Remote)
}

func TestAdmission(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	b.acceptLoop(t)
	b.admit = func(conn compat.ConnInfo, node types.NodeInfo) error {
		if conn.SocketAddr.ID != a.key.ID() || node.ID() != a.key.ID() || conn.Outbound {
			return errors.New("wrong peer")
		}

		return compat.Reject(compat.RejectFull, "%d of %d", 40, 40)
	}
	_, err := a.dial(t, b)
	require.Equal(t, compat.RejectError{Code: compat.RejectFull, Reason: "40 of 40", Remote: true}, rejectOf(t, err))
	require.ErrorContains(t, err, a2s(b))

	b.admit = func(compat.ConnInfo, types.NodeInfo) error { return errors.New("secret") }
	_, err = a.dial(t, b)
	require.Equal(t, compat.RejectError{Remote: true}, rejectOf(t, err))
}

// A node of another network is told so whatever the switch would say, and the refusal is
// logged once.
func TestOtherNetworkIsToldBeforeFull(t *testing.T) {
	var log bytes.Buffer
	key := types.GenerateNodeKey()
	tr, err := NewTransport(nodeInfo(key.ID()), *key, slog.New(slog.NewTextHandler(&log, nil)), WithTimeouts(patientTimeouts()))
	require.NoError(t, err)
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))
	b := &node{Transport: tr, behavior: newBehavior(), key: key}
	b.admit = func(compat.ConnInfo, types.NodeInfo) error { return compat.Reject(compat.RejectFull, "") }
	b.acceptLoop(t)
	a := newNode(t, func(info *types.NodeInfo) { info.Network = "another" })
	_, err = a.dial(t, b)
	require.Equal(t, compat.RejectIncompatible, rejectOf(t, err).Code)
	require.NoError(t, tr.Close())
	require.Equal(t, 1, strings.Count(log.String(), "peer refused"), log.String())
	for _, part := range []string{"peer=" + a.key.ID().String(), "address=127.0.0.1:", "incompatible networks", "another"} {
		require.Contains(t, log.String(), part)
	}
}

func a2s(n *node) string {
	addr := n.NetAddress()

	return addr.String()
}

func TestPendingReject(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	done := make(chan error, 1)
	go func() {
		p, err := b.AcceptPending(timeout(t))
		if err == nil && (p.ID() != a.key.ID() || p.Delegated() || p.NodeInfo().Moniker != "node") {
			err = fmt.Errorf("unexpected session of %s", p.ID())
		}
		if err == nil {
			err = p.Reject(compat.Reject(compat.RejectUnavailable, "nobody there"))
		}
		if err == nil {
			if _, again := p.Complete(timeout(t), b.info, b.behavior); !errors.Is(again, ErrPendingGone) {
				err = fmt.Errorf("completed after reject: %w", again)
			}
		}
		done <- err
	}()
	_, err := a.dial(t, b)
	require.NoError(t, <-done)
	require.Equal(t, compat.RejectError{Code: compat.RejectUnavailable, Reason: "nobody there", Remote: true}, rejectOf(t, err))
}

func TestNobodyAccepts(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, nil), newNode(t, nil, shortHandshake(shortWait))
	_, err := a.dial(t, b)
	require.Equal(t, compat.RejectUnavailable, rejectOf(t, err).Code)
}

func TestNobodyAnswersPending(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, nil), newNode(t, nil, shortHandshake(shortWait))
	got := make(chan *Pending, 1)
	go func() {
		p, _ := b.AcceptPending(timeout(t))
		got <- p
	}()
	_, err := a.dial(t, b)
	require.Equal(t, compat.RejectUnavailable, rejectOf(t, err).Code)
	p := <-got
	require.NotNil(t, p)
	require.ErrorIs(t, p.Reject(compat.Reject(compat.RejectFull, "")), ErrPendingGone)
}

func TestDialerGivesUp(t *testing.T) {
	a, b := newNode(t, nil, shortHandshake(100*time.Millisecond)), newNode(t, nil)
	_, err := a.dial(t, b) // b never accepts
	require.ErrorIs(t, err, context.DeadlineExceeded)

	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if p, err := b.AcceptPending(timeout(t)); err == nil {
			cancel()
			_ = p.Reject(compat.Reject(compat.RejectFull, ""))
		}
	}()
	_, err = a.Dial(ctx, b.NetAddress(), a.behavior)
	require.Error(t, err)
	cancel()
}

func TestAcceptEnds(t *testing.T) {
	a := newNode(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := a.Accept(ctx, a.behavior)
	require.ErrorIs(t, err, context.Canceled)

	ended := make(chan error, 2)
	go func() {
		_, err := a.Accept(context.Background(), a.behavior)
		ended <- err
	}()
	go func() {
		_, err := a.AcceptPending(context.Background())
		ended <- err
	}()
	require.NoError(t, a.Close())
	require.ErrorIs(t, <-ended, compat.ErrTransportClosed)
	require.ErrorIs(t, <-ended, compat.ErrTransportClosed)
	_, err = a.Dial(context.Background(), a.NetAddress(), a.behavior)
	require.ErrorIs(t, err, compat.ErrTransportClosed)
	require.ErrorIs(t, a.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}), compat.ErrTransportClosed)
	require.NoError(t, a.Close())
}

func TestListen(t *testing.T) {
	a := newNode(t, nil)
	require.NotZero(t, a.NetAddress().Port)
	require.ErrorIs(t, a.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}), compat.ErrAlreadyListening)
	require.Len(t, a.Multiaddrs(), 1)
	require.Equal(t, fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", a.NetAddress().Port, a.Host().ID()), a.Multiaddrs()[0].String())
	require.Equal(t, a.NetAddress().Port, a.NodeInfo().NetAddress.Port)
}

func TestNewTransportChecks(t *testing.T) {
	key, other := types.GenerateNodeKey(), types.GenerateNodeKey()
	_, err := NewTransport(nodeInfo(other.ID()), *key, nil)
	require.ErrorContains(t, err, "node key")
	_, err = NewTransport(types.NodeInfo{}, *key, nil)
	require.Error(t, err)
	_, err = NewTransport(nodeInfo(key.ID()), *key, nil, WithLimits(Limits{}))
	require.ErrorContains(t, err, "Handshakes is not positive")
	_, err = NewTransport(nodeInfo(key.ID()), *key, nil, WithTimeouts(Timeouts{}))
	require.ErrorContains(t, err, "Dial is not positive")
	_, err = NewTransport(nodeInfo(key.ID()), *key, nil, WithPrometheus(nil))
	require.Error(t, err)
}

// Two nodes that dial each other have two sessions for a moment; when one is
// stopped the other lives.
func TestCrossedDials(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	type outcome struct {
		p   compat.PeerConn
		err error
	}
	run := func(f func() (compat.PeerConn, error)) chan outcome {
		c := make(chan outcome, 1)
		go func() {
			p, err := f()
			c <- outcome{p, err}
		}()

		return c
	}
	aOut := run(func() (compat.PeerConn, error) { return a.Dial(timeout(t), b.NetAddress(), a.behavior) })
	bOut := run(func() (compat.PeerConn, error) { return b.Dial(timeout(t), a.NetAddress(), b.behavior) })
	aIn := run(func() (compat.PeerConn, error) { return a.Accept(timeout(t), a.behavior) })
	bIn := run(func() (compat.PeerConn, error) { return b.Accept(timeout(t), b.behavior) })
	var peers []*Peer
	for _, c := range []chan outcome{aOut, bOut, aIn, bIn} {
		o := <-c
		require.NoError(t, o.err)
		require.NoError(t, o.p.Start())
		peers = append(peers, o.p.(*Peer))
	}
	aToB, bToA, aFromB, bFromA := peers[0], peers[1], peers[2], peers[3]

	require.NoError(t, bToA.Stop())
	require.Same(t, aFromB, a.failure(t).peer)
	for range 100 {
		require.True(t, aToB.Send(chA, []byte("still here")))
		require.True(t, bFromA.Send(chB, []byte("me too")))
	}
	b.reactor.await(t, 100)
	a.reactor.await(t, 100)
	require.Empty(t, a.failures)
	require.Empty(t, b.failures)
}
