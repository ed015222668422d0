package compattest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// endpointPatience bounds every wait of an endpoint.
	endpointPatience = time.Minute

	// smallCapacity and bulkCapacity are the largest messages on ChannelA and ChannelB,
	// in bytes.
	smallCapacity = 64 << 10
	bulkCapacity  = 1 << 20

	// smallQueue and bulkQueue are the queue capacities of ChannelA and ChannelB, in
	// messages. A full bulk queue holds more than sockets do and less than the 20 MiB
	// that TM2 buffers for a peer.
	smallQueue = 8
	bulkQueue  = 18

	smallPriority = 10
	bulkPriority  = 1
)

// newSpec returns a node that is compatible with all others of newSpec.
func newSpec(moniker string) Spec {
	key := types.GenerateNodeKey()

	return Spec{Key: *key, Info: types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
		NetAddress: &types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)},
		Network:    "conformance",
		Version:    "v1.0.0",
		Channels:   []byte{ChannelA, ChannelB},
		Moniker:    moniker,
		Other:      types.NodeInfoOther{TxIndex: "on", RPCAddress: "tcp://127.0.0.1:26657"},
	}}
}

// endpoint is a transport under test with a compat.PeerBehavior that records its calls and,
// like a switch, stops a peer that has failed.
type endpoint struct {
	spec       Spec
	tr         compat.Transport
	persistent bool // results of IsPersistentPeer and IsPrivatePeer
	private    bool
	reactor    *endpointReactor
	behavior   compat.PeerBehavior // the endpoint itself or a wrapper

	mtx      sync.Mutex
	changed  chan struct{} // closed and replaced at every change
	peers    []compat.PeerConn
	started  map[compat.PeerConn]bool
	received []delivery
	failures []failure
	inside   map[compat.PeerConn]int // calls of Receive under way
	overlaps int                     // calls of Receive that began during another for the same peer
	spoiled  int                     // messages that changed during Receive
}

// delivery is a copy of a received message.
type delivery struct {
	peer compat.PeerConn
	chID byte
	msg  []byte
}

// failure is a call of HandlePeerError.
type failure struct {
	peer    compat.PeerConn
	err     error
	started bool
}

// endpointReactor receives on all channels.
type endpointReactor struct {
	compat.BaseReactor
	e    *endpoint
	hook func(chID byte, peer compat.PeerConn, msg []byte) // runs inside Receive; set before a peer starts
}

func newEndpoint(spec Spec, tr compat.Transport) *endpoint {
	e := &endpoint{
		spec: spec, tr: tr,
		changed: make(chan struct{}),
		started: make(map[compat.PeerConn]bool),
		inside:  make(map[compat.PeerConn]int),
	}
	e.behavior = e
	e.reactor = &endpointReactor{e: e, hook: func(byte, compat.PeerConn, []byte) {}}
	e.reactor.BaseReactor = *compat.NewBaseReactor("conformance", e.reactor)

	return e
}

// ReactorChDescriptors implements compat.PeerBehavior.
func (e *endpoint) ReactorChDescriptors() []*compat.ChannelDescriptor {
	all := map[byte]compat.ChannelDescriptor{
		ChannelA: {Priority: smallPriority, SendQueueCapacity: smallQueue, RecvMessageCapacity: smallCapacity},
		ChannelB: {Priority: bulkPriority, SendQueueCapacity: bulkQueue, RecvMessageCapacity: bulkCapacity},
	}
	var descs []*compat.ChannelDescriptor
	for _, chID := range e.spec.Info.Channels {
		d := all[chID]
		d.ID = chID
		descs = append(descs, &d)
	}

	return descs
}

// Reactors implements compat.PeerBehavior.
func (e *endpoint) Reactors() map[byte]compat.Reactor {
	reactors := make(map[byte]compat.Reactor)
	for _, chID := range e.spec.Info.Channels {
		reactors[chID] = e.reactor
	}

	return reactors
}

// IsPersistentPeer implements compat.PeerBehavior.
func (e *endpoint) IsPersistentPeer(types.ID) bool { return e.persistent }

// IsPrivatePeer implements compat.PeerBehavior.
func (e *endpoint) IsPrivatePeer(types.ID) bool { return e.private }

// HandlePeerError implements compat.PeerBehavior.
func (e *endpoint) HandlePeerError(peer compat.PeerConn, err error) {
	e.change(func() { e.failures = append(e.failures, failure{peer, err, e.started[peer]}) })
	_ = peer.Stop() // it may be stopped already
}

// Receive implements compat.Reactor. It compares the slice with its copy at the end, since
// the stack must not change the slice before Receive returns.
func (r *endpointReactor) Receive(chID byte, peer compat.PeerConn, msg []byte) {
	kept := bytes.Clone(msg)
	r.e.change(func() {
		if r.e.inside[peer]++; r.e.inside[peer] > 1 {
			r.e.overlaps++
		}
		r.e.received = append(r.e.received, delivery{peer, chID, kept})
	})
	defer r.e.change(func() {
		if r.e.inside[peer]--; !bytes.Equal(kept, msg) {
			r.e.spoiled++
		}
	})
	r.hook(chID, peer, msg)
}

// hold makes Receive block, after it has recorded the message, until release is called or
// the test ends. It must be called before the peers start.
func (e *endpoint) hold(t *testing.T) (release func()) {
	t.Helper()
	gate := make(chan struct{})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	e.reactor.hook = func(byte, compat.PeerConn, []byte) { <-gate }

	return release
}

func (e *endpoint) id() types.ID { return e.spec.Key.ID() }

// dial dials an address until ctx ends, for at most endpointPatience. On a busy machine a dial may
// take longer than a transport allows. It is repeated then.
func (e *endpoint) dial(ctx context.Context, addr types.NetAddress) (compat.PeerConn, error) {
	ctx, cancel := context.WithTimeout(ctx, endpointPatience)
	defer cancel()
	for {
		peer, err := e.dialOnce(ctx, addr)
		if err == nil || ctx.Err() != nil || compat.ClassifyDial(err) != compat.DialTimedOut {
			return peer, err
		}
	}
}

func (e *endpoint) dialOnce(ctx context.Context, addr types.NetAddress) (compat.PeerConn, error) {
	return e.keep(e.tr.Dial(ctx, addr, e.behavior))
}

func (e *endpoint) accept(ctx context.Context) (compat.PeerConn, error) {
	return e.keep(e.tr.Accept(ctx, e.behavior))
}

// keep stores a peer for dropAll. It fails the test unless there is either a peer or an
// error.
func (e *endpoint) keep(peer compat.PeerConn, err error) (compat.PeerConn, error) {
	switch {
	case peer == nil && err == nil:
		return nil, errors.New("the transport returned neither a peer nor an error")
	case peer == nil:
		return nil, err
	}
	e.change(func() { e.peers = append(e.peers, peer) })
	if err != nil {
		return nil, fmt.Errorf("the transport returned a peer beside the error: %w", err)
	}

	return peer, nil
}

// serve accepts peers in a goroutine until stop is called or the test ends. It calls then
// for each peer.
func (e *endpoint) serve(t *testing.T, then func(peer compat.PeerConn)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			peer, err := e.accept(ctx)
			if err == nil {
				then(peer)

				continue
			}
			if ctx.Err() == nil && !errors.Is(err, compat.ErrTransportClosed) {
				t.Errorf("accept failed for a remote's fault: %v", err)
			}

			return
		}
	})
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)

	return stop
}

// run starts a peer whose remote may have disconnected.
func (e *endpoint) run(peer compat.PeerConn) {
	e.change(func() { e.started[peer] = true })
	_ = peer.Start() // fails if the stack has noticed that the remote disconnected
}

// start starts a peer and requires success.
func (e *endpoint) start(t *testing.T, peer compat.PeerConn) {
	t.Helper()
	e.change(func() { e.started[peer] = true })
	require.NoError(t, peer.Start())
}

// shut closes a transport that has a Close method, and waits for it.
func (e *endpoint) shut() error {
	if closer, ok := e.tr.(interface{ Close() error }); ok {
		return closer.Close()
	}

	return nil
}

// drop ends a peer in any state.
func (e *endpoint) drop(peer compat.PeerConn) {
	_ = peer.Stop()      // it may be stopped, or never started
	_ = peer.CloseConn() // it may be closed
	e.tr.Remove(peer)
}

func (e *endpoint) dropAll() {
	for _, peer := range e.allPeers() {
		e.drop(peer)
	}
}

func (e *endpoint) allPeers() []compat.PeerConn {
	e.mtx.Lock()
	defer e.mtx.Unlock()

	return append([]compat.PeerConn(nil), e.peers...)
}

func (e *endpoint) allFailures() []failure {
	e.mtx.Lock()
	defer e.mtx.Unlock()

	return append([]failure(nil), e.failures...)
}

// misdelivered returns the numbers of calls of Receive that overlapped another for the same
// peer, and of those whose message changed.
func (e *endpoint) misdelivered() (overlaps, spoiled int) {
	e.mtx.Lock()
	defer e.mtx.Unlock()

	return e.overlaps, e.spoiled
}

// change runs f under the lock and wakes await.
func (e *endpoint) change(f func()) {
	e.mtx.Lock()
	defer e.mtx.Unlock()
	f()
	close(e.changed)
	e.changed = make(chan struct{})
}

// await waits until ok holds. ok runs under the lock.
func (e *endpoint) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.NewTimer(endpointPatience)
	defer timeout.Stop()
	for {
		e.mtx.Lock()
		done, changed := ok(), e.changed
		seen := fmt.Sprintf("%d messages and the failures %v so far", len(e.received), e.failures)
		e.mtx.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			require.Failf(t, "missing: "+what, "%s: %s", e.spec.Info.Moniker, seen)
		}
	}
}

// awaitCount waits until the peer has received n messages on a channel, and
// returns all of them.
func (e *endpoint) awaitCount(t *testing.T, peer compat.PeerConn, chID byte, n int) [][]byte {
	t.Helper()
	var got [][]byte
	e.await(t, fmt.Sprintf("message %d on channel %#02x", n, chID), func() bool {
		got = e.on(peer, chID)

		return len(got) >= n
	})

	return got
}

// on returns the messages that the peer has received on a channel. The caller holds the
// lock.
func (e *endpoint) on(peer compat.PeerConn, chID byte) [][]byte {
	var got [][]byte
	for _, d := range e.received {
		if d.peer == peer && d.chID == chID {
			got = append(got, d.msg)
		}
	}

	return got
}

// count returns how many messages the peer has received on a channel.
func (e *endpoint) count(peer compat.PeerConn, chID byte) int {
	e.mtx.Lock()
	defer e.mtx.Unlock()

	return len(e.on(peer, chID))
}

// awaitFailure waits until the peer's failure was reported and the peer has stopped.
func (e *endpoint) awaitFailure(t *testing.T, peer compat.PeerConn) {
	t.Helper()
	e.await(t, "a call of HandlePeerError", func() bool {
		for _, f := range e.failures {
			if f.peer == peer {
				return f.err != nil
			}
		}

		return false
	})
	awaitQuit(t, peer)
}
