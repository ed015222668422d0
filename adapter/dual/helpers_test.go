package dual_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/leeway"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

const channel = 0x30

// patient bounds the dials, handshakes and flushes that have to succeed on a busy machine.
const patient = 20 * time.Second

func patientNative() native.Option { return leeway.Handshake(patient).(native.Option) }

// patientLibp2p also lets a node of both stacks wait longer for a dialer to speak: it does not take
// one that is held up for a native one.
func patientLibp2p() []lp2p.Option {
	timeouts := lp2p.DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake, timeouts.Flush = patient, patient, patient

	return []lp2p.Option{lp2p.WithTimeouts(timeouts), leeway.Sniff(patient).(lp2p.Option)}
}

// patientDual returns the options of a patient node, and the given ones, which may replace them.
func patientDual(opts ...dual.Option) []dual.Option {
	return append([]dual.Option{dual.WithNative(patientNative()), dual.WithLibp2p(patientLibp2p()...)}, opts...)
}

// timeout bounds what has to succeed on a busy machine.
func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)

	return ctx
}

// behavior is that of a switch with one reactor that receives nothing.
type behavior struct {
	compat.BaseReactor
}

func newBehavior() *behavior {
	b := &behavior{}
	b.BaseReactor = *compat.NewBaseReactor("test", b)

	return b
}

func (*behavior) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: channel, Priority: 1}}
}

func (b *behavior) ReactorChDescriptors() []*compat.ChannelDescriptor { return b.GetChannels() }
func (b *behavior) Reactors() map[byte]compat.Reactor {
	return map[byte]compat.Reactor{channel: b}
}
func (*behavior) HandlePeerError(p compat.PeerConn, _ error) { _ = p.CloseConn() }
func (*behavior) IsPersistentPeer(types.ID) bool             { return false }
func (*behavior) IsPrivatePeer(types.ID) bool                { return false }

func loopbackSpec() compattest.Spec {
	key := types.GenerateNodeKey()

	return compattest.Spec{Key: *key, Info: types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)},
		Network:    "test", Version: "v1.0.0", Channels: []byte{channel}, Moniker: "node",
	}}
}

// kinds are the nodes of a network in migration. They are patient.
var kinds = map[string]func(t testing.TB, spec compattest.Spec, opts ...dual.Option) compat.ListeningTransport{
	"native": func(t testing.TB, spec compattest.Spec, _ ...dual.Option) compat.ListeningTransport {
		t.Helper()

		return native.NewMultiplexTransport(spec.Info, spec.Key, mconn.DefaultMConnConfig(), nil, patientNative())
	},
	"libp2p": func(t testing.TB, spec compattest.Spec, _ ...dual.Option) compat.ListeningTransport {
		t.Helper()
		tr, err := lp2p.NewTransport(spec.Info, spec.Key, nil, patientLibp2p()...)
		require.NoError(t, err)

		return tr
	},
	"dual": func(t testing.TB, spec compattest.Spec, opts ...dual.Option) compat.ListeningTransport {
		t.Helper()
		tr, err := dual.NewTransport(spec.Info, spec.Key, mconn.DefaultMConnConfig(), nil, patientDual(opts...)...)
		require.NoError(t, err)

		return tr
	},
}

// newDialer returns a node that accepts nobody.
func newDialer(t testing.TB, opts ...dual.Option) *dual.Transport {
	t.Helper()
	tr := kinds["dual"](t, loopbackSpec(), opts...)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })

	return tr.(*dual.Transport)
}

// listen makes a node of a kind that accepts peers, and returns the stacks of those.
func listen(t testing.TB, kind string, spec compattest.Spec, opts ...dual.Option) (compat.ListeningTransport, <-chan types.Stack) {
	t.Helper()
	tr := kinds[kind](t, spec, opts...)
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1), Port: spec.Info.NetAddress.Port}))
	stacks := make(chan types.Stack, 16)
	acceptAll(t, tr, newBehavior(), func(p compat.PeerConn) {
		if p.Start() == nil {
			stacks <- p.(compat.StackReporter).Stack()
		}
	})

	return tr, stacks
}

// acceptAll passes the peers of a listening node to a function until the test ends, and then
// closes the node.
func acceptAll(t testing.TB, tr compat.ListeningTransport, b compat.PeerBehavior, accepted func(compat.PeerConn)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			p, err := tr.Accept(ctx, b)
			if err != nil {
				return
			}
			accepted(p)
		}
	})
	t.Cleanup(func() {
		cancel()
		accepting.Wait()
		require.NoError(t, tr.Close())
	})
}

// tap is a relay in front of a node that counts connections, and the bytes that their
// dialers have sent.
type tap struct {
	listener net.Listener
	wg       sync.WaitGroup

	mtx  sync.Mutex
	sent []int // by connection
}

func newTap(t *testing.T, target types.NetAddress) (*tap, types.NetAddress) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &tap{listener: listener}
	r.wg.Go(func() {
		for i := 0; ; i++ {
			client, err := listener.Accept()
			if err != nil {
				return // closed by the cleanup
			}
			r.mtx.Lock()
			r.sent = append(r.sent, 0)
			r.mtx.Unlock()
			r.wg.Go(func() { r.pass(client, target, i) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		r.wg.Wait()
	})
	addr := target
	addr.Port = uint16(listener.Addr().(*net.TCPAddr).Port)

	return r, addr
}

func (r *tap) pass(client net.Conn, target types.NetAddress, i int) {
	server, err := net.Dial("tcp", target.DialString())
	if err != nil {
		_ = client.Close()

		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
		_ = server.Close()
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := client.Read(buf)
		r.mtx.Lock()
		r.sent[i] += n
		r.mtx.Unlock()
		if err != nil {
			break
		}
		if _, err := server.Write(buf[:n]); err != nil {
			break
		}
	}
	_ = client.Close()
	_ = server.Close()
	wg.Wait()
}

// spoken returns how many connections were made, and over how many of them the dialer has
// sent something.
func (r *tap) spoken() (conns, spoken int) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	for _, n := range r.sent {
		if n > 0 {
			spoken++
		}
	}

	return len(r.sent), spoken
}
