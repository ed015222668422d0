package probe_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// patient bounds what has to succeed on a busy machine.
const patient = time.Minute

// patiently are options for probes of nodes that send their NodeInfo.
var patiently = probe.Options{}.Patient(patient)

// attempts is how often a node is probed that is late: it gives each step of a handshake 3 s, and a probe gives a
// connection over QUIC 5 s.
const attempts = 5

// reached probes a node, and again if a handshake took longer than the node waits.
func reached(t *testing.T, o probe.Options, address string) (r *probe.Result, err error) {
	t.Helper()
	for range attempts {
		r, err = o.Probe(bounded(t), address)
		told := fmt.Sprint(err)
		if r != nil {
			told += fmt.Sprint(r.Notes)
		}
		if !strings.Contains(told, "handshake failed") {
			break
		}
		t.Logf("%s was late: %s", address, told)
	}

	return r, err
}

// bounded returns a context for probes that get an answer.
func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	t.Cleanup(cancel)

	return ctx
}

// deadline is a context whose deadline passes when the test says so.
type deadline struct {
	context.Context
	over chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.over }

func (d deadline) Err() error {
	select {
	case <-d.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// untilSilent returns a context for probes that get no answer, and a handler of connections that lets
// its deadline pass when the probe waits for one.
func untilSilent(t *testing.T, sends ...byte) (context.Context, func(net.Conn)) {
	d := deadline{t.Context(), make(chan struct{})}
	pass := sync.OnceFunc(func() { close(d.over) })
	t.Cleanup(pass)
	context.AfterFunc(bounded(t), pass)

	return d, func(conn net.Conn) {
		_, _ = conn.Write(sends)
		_, _ = conn.Read(make([]byte, 1))
		pass()
		_, _ = io.Copy(io.Discard, conn)
	}
}

func requireIdentity(t *testing.T, key *types.NodeKey, r *probe.Result) {
	require.Equal(t, key.ID(), r.ID)
	peerID, err := lp2p.PeerIDFromPublicKey(key.PrivKey.Public().(ed25519.PublicKey))
	require.NoError(t, err)
	require.Equal(t, peerID.String(), r.PeerID)
	require.Positive(t, r.ConnectTime)
	require.Positive(t, r.HandshakeTime)
}

func TestProbeNative(t *testing.T) {
	key := types.GenerateNodeKey()
	mt, at := startNative(t, key)
	accepted := make(chan error, 1)
	go func() {
		_, err := mt.Accept(context.Background(), behavior{})
		accepted <- err
	}()

	for _, address := range []string{at, key.ID().String() + "@" + at, "tcp://" + at} {
		r, err := reached(t, patiently, address)
		require.NoError(t, err, address)
		require.Equal(t, at, r.Address)
		require.Equal(t, []string{probe.StackNative}, r.Stacks)
		require.Equal(t, "C", r.Dialect)
		requireIdentity(t, key, r)
		require.NotNil(t, r.NodeInfo)
		require.Equal(t, "target", r.NodeInfo.Moniker)
		require.Empty(t, r.Notes)
	}

	require.NoError(t, mt.Close())
	require.ErrorIs(t, <-accepted, compat.ErrTransportClosed, "the probe became a peer")
}

func TestProbeLibp2p(t *testing.T) {
	key := types.GenerateNodeKey()
	_, at := startLibp2p(t, key)
	for _, address := range []string{at, key.ID().String() + "@" + at, strings.ToUpper(key.ID().String()) + "@" + at} {
		r, err := reached(t, patiently, address)
		require.NoError(t, err, address)
		require.Equal(t, []string{probe.StackLibp2p}, r.Stacks)
		require.Empty(t, r.Dialect)
		requireIdentity(t, key, r)
		require.Empty(t, r.Notes)
		require.NotNil(t, r.NodeInfo)
		require.Equal(t, "target", r.NodeInfo.Moniker)
	}
}

func TestProbeBothStacksAtOnePort(t *testing.T) {
	key := types.GenerateNodeKey()
	_, nativeAt := startNative(t, key)
	_, libp2pAt := startLibp2p(t, key)
	at := proxy(t, func(first byte) string {
		if first == 0x22 {
			return nativeAt
		}
		return libp2pAt
	})

	r, err := reached(t, patiently, at)
	require.NoError(t, err)
	require.Equal(t, []string{probe.StackLibp2p, probe.StackNative}, r.Stacks)
	require.Equal(t, "C", r.Dialect)
	requireIdentity(t, key, r)
	require.NotNil(t, r.NodeInfo)
}

func TestProbeNativeThatAnswersLate(t *testing.T) {
	key := types.GenerateNodeKey()
	_, nativeAt := startNative(t, key)

	r, err := reached(t, patiently, proxy(t, func(byte) string { return nativeAt }))
	require.NoError(t, err)
	require.Equal(t, []string{probe.StackNative}, r.Stacks)
	requireIdentity(t, key, r)
	require.NotNil(t, r.NodeInfo)
}

func TestProbeWithoutNodeInfo(t *testing.T) {
	t.Parallel()
	key := types.GenerateNodeKey()
	rt := native.NewRelayTransport(*key, mconn.DefaultMConnConfig(), nil)
	require.NoError(t, rt.Listen(loopback(key.ID())))
	t.Cleanup(func() { require.NoError(t, rt.Close()) })

	r, err := reached(t, probe.Options{}, dialString(rt))
	require.NoError(t, err)
	requireIdentity(t, key, r)
	require.Nil(t, r.NodeInfo)
	require.Len(t, r.Notes, 1)
	require.Contains(t, r.Notes[0], "no NodeInfo")
}

func TestProbeWrongID(t *testing.T) {
	asked := types.GenerateNodeKey().ID()
	key := types.GenerateNodeKey()
	_, nativeAt := startNative(t, key)
	_, libp2pAt := startLibp2p(t, key)
	for _, at := range []string{nativeAt, libp2pAt} {
		r, err := reached(t, patiently, asked.String()+"@"+at)
		var wrong *compat.WrongIDError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, compat.WrongIDError{Addr: at, Asked: asked, Found: key.ID()}, *wrong)
		require.ErrorContains(t, err, asked.String())
		require.ErrorContains(t, err, key.ID().String())
		require.Equal(t, key.ID(), r.ID)
		require.Nil(t, r.NodeInfo)
	}
}

func TestProbeOlderDialects(t *testing.T) {
	for _, dialect := range []compat.Dialect{compat.DialectA, compat.DialectB} {
		t.Run(string(dialect), func(t *testing.T) {
			key := types.GenerateNodeKey()
			r, err := reached(t, patiently, serve(t, typedNode{t: t, key: key, dialect: dialect}.answer))
			require.NoError(t, err)
			require.Equal(t, []string{probe.StackNative}, r.Stacks)
			require.Equal(t, string(dialect), r.Dialect)
			require.Equal(t, key.ID(), r.ID)
			require.Equal(t, "target", r.NodeInfo.Moniker)
		})
	}
}

func TestProbeClosedPort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	at := listener.Addr().String()
	require.NoError(t, listener.Close())

	r, err := probe.Probe(bounded(t), at)
	require.Nil(t, r)
	require.ErrorContains(t, err, at)
	require.ErrorContains(t, err, "unable to connect")
	require.ErrorContains(t, err, "refused")
}

func TestProbeSilentPort(t *testing.T) {
	ctx, silence := untilSilent(t)
	at := serve(t, silence)
	r, err := probe.Probe(ctx, at)
	require.Nil(t, r)
	require.ErrorIs(t, err, probe.ErrUnknownPeer)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, at)
	require.ErrorContains(t, err, "sent nothing in time")
}

func TestProbeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	at := serve(t, func(conn net.Conn) {
		cancel()
		_, _ = io.Copy(io.Discard, conn)
	})
	_, err := probe.Probe(ctx, at)
	require.ErrorIs(t, err, context.Canceled)
}

func TestProbeStalledHandshake(t *testing.T) {
	ctx, stall := untilSilent(t, 0x22, 0x0a, 0x20)
	r, err := probe.Probe(ctx, serve(t, stall))
	require.Nil(t, r)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "native handshake failed")
}

func TestProbeOtherProtocols(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	for name, tc := range map[string]struct {
		at   string
		want string
	}{
		"HTTP server": {web.Listener.Addr().String(), `"HTTP/1.1 400 Bad Request`},
		"banner":      {serve(t, says("SSH-2.0-x\r\n")), `"SSH-2.0-x\r\n"`},
		"one byte":    {serve(t, says("\x22")), "it sent only"},
		"hangs up":    {serve(t, func(c net.Conn) { _ = c.Close() }), "closed by the remote"},
		"echo":        {serve(t, func(c net.Conn) { _, _ = io.Copy(c, c) }), "libp2p handshake failed"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := probe.Probe(bounded(t), tc.at)
			require.ErrorContains(t, err, tc.at)
			require.ErrorContains(t, err, tc.want)
			require.Nil(t, r)
		})
	}
}

// says handles a connection by sending the text and no more. It reads what the probe sends, which would else reset
// the connection, and the text with it, when it comes first.
func says(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = conn.Write([]byte(text))
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	}
}

func TestProbeBadAddress(t *testing.T) {
	for _, address := range []string{"", "host", "host:", "host:0", "host:65536", ":1", "x@127.0.0.1:1", "@127.0.0.1:1"} {
		_, err := probe.Probe(t.Context(), address)
		require.ErrorContains(t, err, "address "+strconv.Quote(address), address)
	}
}

func TestProbeQUIC(t *testing.T) {
	t.Parallel()
	key := types.GenerateNodeKey()
	lt, err := lp2p.NewTransport(nodeInfo(key.ID()), *key, nil, lp2p.WithQUIC(), patientTimeouts())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lt.Close()) })
	require.NoError(t, lt.Listen(loopback(key.ID())))
	_, without := startLibp2p(t, types.GenerateNodeKey())
	for at, want := range map[string]bool{dialString(lt): true, without: false} {
		o := probe.Options{QUIC: true}
		r, err := reached(t, o, at)
		for n := 1; n < attempts && want && err == nil && r.QUIC != nil && !*r.QUIC; n++ {
			t.Logf("%s was late over QUIC", at)
			r, err = reached(t, o, at)
		}
		require.NoError(t, err)
		require.NotNil(t, r.QUIC)
		require.Equal(t, want, *r.QUIC)
		require.Nil(t, r.Peers, "it is not asked")
	}
}
