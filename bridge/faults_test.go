package bridge

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// talkPace is the time between two messages to a peer.
const talkPace = 5 * time.Millisecond

// talker is a reactor that numbers its messages to each connection, and checks the numbers of
// those it receives: what Send has accepted arrives in order and once, unless the connection
// ends, and then the rest of it is missing on both ends.
type talker struct {
	compat.BaseReactor

	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup

	mtx     sync.Mutex
	streams map[uint64]*stream // received ones, by their names
	sent    map[uint64]uint64  // accepted messages, by the name of the stream
	to      map[uint64]compat.PeerConn
	latest  time.Time // when the newest message that has arrived was sent

	lost, duplicated, reordered int
}

type stream struct {
	next    uint64
	missing map[uint64]bool
}

func newTalker() *talker {
	r := &talker{streams: make(map[uint64]*stream), sent: make(map[uint64]uint64), to: make(map[uint64]compat.PeerConn)}
	r.BaseReactor = *compat.NewBaseReactor("talker", r)
	r.ctx, r.stop = context.WithCancel(context.Background())

	return r
}

func (*talker) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: chTxs, Priority: 5, SendQueueCapacity: 100}}
}

func (r *talker) AddPeer(p compat.PeerConn) {
	name := rand.Uint64()
	r.wg.Go(func() {
		for n := uint64(0); task.Sleep(r.ctx, talkPace); n++ {
			msg := make([]byte, 200)
			binary.BigEndian.PutUint64(msg, name)
			binary.BigEndian.PutUint64(msg[8:], n)
			binary.BigEndian.PutUint64(msg[16:], uint64(time.Now().UnixNano()))
			if !p.Send(chTxs, msg) {
				if !p.IsRunning() {
					return
				}
				n--

				continue
			}
			r.mtx.Lock()
			r.sent[name], r.to[name] = n+1, p
			r.mtx.Unlock()
		}
	})
}

func (r *talker) Receive(_ byte, _ compat.PeerConn, msg []byte) {
	name, n := binary.BigEndian.Uint64(msg), binary.BigEndian.Uint64(msg[8:])
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.latest = time.Unix(0, max(r.latest.UnixNano(), int64(binary.BigEndian.Uint64(msg[16:]))))
	s := r.streams[name]
	if s == nil {
		s = &stream{missing: make(map[uint64]bool)}
		r.streams[name] = s
	}
	switch {
	case n >= s.next:
		for ; s.next < n; s.next++ {
			s.missing[s.next] = true
			r.lost++
		}
		s.next++
	case s.missing[n]:
		delete(s.missing, n)
		r.lost--
		r.reordered++
	default:
		r.duplicated++
	}
}

// hears reports whether a message arrived that was sent after the time.
func (r *talker) hears(after time.Time) bool {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return r.latest.After(after)
}

// faultyNode is a node of one stack with a talker, on sockets with faults.
type faultyNode struct {
	talker  *talker
	sockets *stacktest.FaultySockets
	sw      *adapter.MultiplexSwitch
	tr      transport
	key     *types.NodeKey
	address types.NetAddress
}

// startFaulty starts a node. A native one dials the bridge; a libp2p one knows it, so that its
// share of the slots is no limit.
func startFaulty(t *testing.T, stack string, key *types.NodeKey, at, bridge types.NetAddress) *faultyNode {
	t.Helper()
	n := &faultyNode{talker: newTalker(), sockets: &stacktest.FaultySockets{}, key: key}
	own := at
	own.ID = key.ID()
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}}, NetAddress: &own,
		Network: "bridged", Version: "v1.0.0", Channels: []byte{chTxs}, Moniker: stack,
	}
	n.tr = native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil, native.WithSockets(n.sockets))
	if stack == InitiatorLibp2p {
		var err error
		n.tr, err = lp2p.NewTransport(info, *key, nil, lp2p.WithSockets(n.sockets))
		require.NoError(t, err)
	}
	require.NoError(t, n.tr.Listen(at))
	n.address = n.tr.NetAddress()
	opts := []adapter.SwitchOption{
		adapter.WithReactor("talker", n.talker), adapter.WithAllowDuplicateIP(true),
		adapter.WithMaxInboundPeers(1000), adapter.WithUnconditionalPeers([]types.ID{bridge.ID}),
	}
	if stack == InitiatorNative {
		opts = append(opts, adapter.WithPersistentPeers([]*types.NetAddress{&bridge}))
	}
	n.sw = adapter.NewMultiplexSwitch(n.tr, opts...)
	require.NoError(t, n.sw.Start())

	return n
}

func (n *faultyNode) close(t *testing.T) {
	t.Helper()
	n.talker.stop()
	require.NoError(t, n.sw.Stop())
	require.NoError(t, n.tr.Close())
	n.talker.wg.Wait()
}

// faultyNet are native nodes that a bridge joins to libp2p nodes.
type faultyNet struct {
	t              *testing.T
	native, libp2p []*faultyNode
	bridge         *Bridge
	sockets        *stacktest.FaultySockets // of the bridge
	key            *types.NodeKey
	natAt, libAt   types.NetAddress
	ended          []*talker    // of nodes that were killed
	disk           disk         // that of the bridge's log
	ahead          atomic.Int64 // by how much the bridge's clock is ahead, in nanoseconds
}

// disk takes what is written to it until it is full. Then a write fails as the system says.
type disk struct {
	full   atomic.Bool
	failed atomic.Int64
}

func (d *disk) Write(b []byte) (int, error) {
	if !d.full.Load() {
		return len(b), nil
	}
	file, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	n, err := file.Write(b)
	if errors.Is(err, syscall.ENOSPC) {
		d.failed.Add(1)
	}

	return n, err
}

func startFaultyNet(t *testing.T, natives, libp2ps int) *faultyNet {
	t.Helper()
	f := &faultyNet{t: t, key: types.GenerateNodeKey(), natAt: freePort(t), libAt: freePort(t)}
	f.natAt.ID, f.libAt.ID = f.key.ID(), f.key.ID()
	for range libp2ps {
		f.libp2p = append(f.libp2p, startFaulty(t, InitiatorLibp2p, types.GenerateNodeKey(), freePort(t), f.libAt))
	}
	f.startBridge()
	for range natives {
		f.native = append(f.native, startFaulty(t, InitiatorNative, types.GenerateNodeKey(), freePort(t), f.natAt))
	}

	return f
}

func (f *faultyNet) startBridge() {
	f.t.Helper()
	f.sockets = &stacktest.FaultySockets{}
	var targets []*types.NetAddress
	for _, n := range f.libp2p {
		targets = append(targets, &n.address)
	}
	var err error
	f.bridge, err = New(*f.key, Config{
		NativeListen: f.natAt, Libp2pListen: f.libAt, Libp2pPeers: targets, OnlyConfigured: true,
		AllowDuplicateIP: true, MaxPairs: 1000, MaxPairsPerIP: 1000, Sockets: f.sockets,
	}, slog.New(slog.NewTextHandler(&f.disk, nil)))
	require.NoError(f.t, err)
	f.bridge.clock = func() time.Time { return time.Now().Add(time.Duration(f.ahead.Load())) }
	require.NoError(f.t, f.bridge.Start())
}

func (f *faultyNet) nodes() []*faultyNode {
	return append(append([]*faultyNode(nil), f.native...), f.libp2p...)
}

// kill ends a node as kill -9 does, and starts it again with its key at its address.
func (f *faultyNet) kill(nodes []*faultyNode, stack string, i int) {
	f.t.Helper()
	n := nodes[i]
	n.sockets.Kill()
	n.close(f.t)
	f.ended = append(f.ended, n.talker)
	nodes[i] = startFaulty(f.t, stack, n.key, n.address, f.natAt)
}

// awaitAll waits until each native node has a pair, and both nodes of each pair hear what was sent
// after now. It returns how long that took.
func (f *faultyNet) awaitAll(what string) time.Duration {
	f.t.Helper()
	since := time.Now()
	require.Eventually(f.t, func() bool {
		pairs := f.bridge.Status().Pairs
		if len(pairs) != len(f.native) {
			return false
		}
		paired := make(map[types.ID]bool)
		for _, p := range pairs {
			paired[p.NativeID], paired[p.Libp2pID] = true, true
		}
		for _, n := range f.nodes() {
			if paired[n.key.ID()] && !n.talker.hears(since) {
				return false
			}
		}

		return true
	}, 3*time.Minute, 10*time.Millisecond, "all nodes are joined after: %s", what) // nodes dial again after up to 30 s

	return time.Since(since)
}

// check stops the talk and checks what has arrived: nothing is missing, twice or out of order, and of
// the connections that live all that was accepted.
func (f *faultyNet) check() (lost, duplicated, reordered int) {
	f.t.Helper()
	nodes := f.nodes()
	sent, streams := make(map[uint64]uint64), make(map[uint64]*stream)
	for _, n := range nodes {
		n.talker.stop()
		n.talker.wg.Wait()
	}
	require.Eventually(f.t, func() bool {
		clear(sent)
		for _, n := range nodes {
			n.talker.mtx.Lock()
			for name, accepted := range n.talker.sent {
				if n.talker.to[name].IsRunning() {
					sent[name] = accepted
				}
			}
			for name, s := range n.talker.streams {
				streams[name] = &stream{next: s.next}
			}
			n.talker.mtx.Unlock()
		}
		for name, accepted := range sent {
			if s := streams[name]; s == nil || s.next != accepted {
				return false
			}
		}

		return len(sent) > 0
	}, time.Minute, 10*time.Millisecond, "what was accepted has arrived")
	for _, r := range f.talkers() {
		r.mtx.Lock()
		lost, duplicated, reordered = lost+r.lost, duplicated+r.duplicated, reordered+r.reordered
		r.mtx.Unlock()
	}

	return lost, duplicated, reordered
}

func (f *faultyNet) talkers() []*talker {
	all := append([]*talker(nil), f.ended...)
	for _, n := range f.nodes() {
		all = append(all, n.talker)
	}

	return all
}

func (f *faultyNet) close() {
	f.t.Helper()
	for _, n := range f.nodes() {
		n.close(f.t)
	}
	require.NoError(f.t, f.bridge.Stop())
}

// fault is a row of the table.
type fault struct {
	name string
	full time.Duration // how long it lasts in the full table
	// begin causes the fault, and end heals it.
	begin, end func(*faultyNet)
}

func (f *faultyNet) each(nodes []*faultyNode, faults stacktest.Faults) {
	for _, n := range nodes {
		n.sockets.Set(faults)
	}
}

func everywhere(faults stacktest.Faults) func(*faultyNet) {
	return func(f *faultyNet) {
		f.each(f.nodes(), faults)
		f.sockets.Set(faults)
	}
}

var healed = everywhere(stacktest.Faults{})

// breakAndRefuse breaks the connections of the bridge while its clock is wrong, so that libp2p
// nodes refuse its delegations.
func breakAndRefuse(ahead time.Duration) func(*faultyNet) {
	return func(f *faultyNet) {
		f.ahead.Store(int64(ahead))
		f.sockets.Break()
		require.Eventually(f.t, func() bool {
			return slices.ContainsFunc(f.bridge.Status().Targets, func(t TargetStatus) bool {
				return strings.Contains(t.LastError, "the clock of its dialer is")
			})
		}, time.Minute, 10*time.Millisecond, "a target says by how much the clock is wrong")
	}
}

func rightClock(f *faultyNet) {
	f.ahead.Store(0)
	healed(f)
}

// faults are those of the table. All that the bridge writes to a disk while it runs is its log.
var faults = []fault{
	{"no fault", time.Second, func(*faultyNet) {}, func(*faultyNet) {}},
	{"all connections of the bridge break", 0, func(f *faultyNet) { f.sockets.Break() }, healed},
	{"the native connections break", 0, func(f *faultyNet) {
		for _, n := range f.native {
			n.sockets.Break()
		}
	}, healed},
	{"the libp2p connections break", 0, func(f *faultyNet) {
		for _, n := range f.libp2p {
			n.sockets.Break()
		}
	}, healed},
	{"kill -9 of the bridge", 5 * time.Second, func(f *faultyNet) {
		f.sockets.Kill()
		require.NoError(f.t, f.bridge.Stop())
	}, func(f *faultyNet) { f.startBridge() }},
	{"kill -9 of a native node", 0, func(f *faultyNet) { f.kill(f.native, InitiatorNative, 0) }, healed},
	{"kill -9 of a libp2p node", 0, func(f *faultyNet) { f.kill(f.libp2p, InitiatorLibp2p, 0) }, healed},
	{"clock 6 minutes fast, and all connections break", 10 * time.Second, breakAndRefuse(6 * time.Minute), rightClock},
	{"clock 6 minutes slow, and all connections break", 10 * time.Second, breakAndRefuse(-6 * time.Minute), rightClock},
	{"disk full, and all connections break", 10 * time.Second, func(f *faultyNet) {
		f.disk.full.Store(true)
		f.sockets.Break()
		require.Eventually(f.t, func() bool { return f.disk.failed.Load() > 0 }, time.Minute, 10*time.Millisecond, "the log is not written")
	}, func(f *faultyNet) {
		f.awaitAll("the disk was full")
		f.disk.full.Store(false)
	}},
	{"nothing gets from native nodes to the bridge", 10 * time.Second,
		func(f *faultyNet) { f.each(f.native, stacktest.Faults{Cut: true}) }, healed},
	{"nothing gets from libp2p nodes to the bridge", 10 * time.Second,
		func(f *faultyNet) { f.each(f.libp2p, stacktest.Faults{Cut: true}) }, healed},
	{"nothing gets out of the bridge", 10 * time.Second, func(f *faultyNet) { f.sockets.Set(stacktest.Faults{Cut: true}) }, healed},
	{"nothing gets anywhere", 10 * time.Second, everywhere(stacktest.Faults{Cut: true}), healed},
	{"1 % loss", 10 * time.Second, everywhere(stacktest.Faults{Loss: 0.01}), healed},
	{"5 % loss", 10 * time.Second, everywhere(stacktest.Faults{Loss: 0.05}), healed},
	{"33 % loss", 10 * time.Second, everywhere(stacktest.Faults{Loss: 0.33}), healed},
	{"50 ms delay", 10 * time.Second, everywhere(stacktest.Faults{Delay: 50 * time.Millisecond}), healed},
	{"300 ms delay", 10 * time.Second, everywhere(stacktest.Faults{Delay: 300 * time.Millisecond}), healed},
}

// Whatever breaks, the nodes are joined again once it is healed, and what was accepted has
// arrived once and in order, or the connection has ended on both ends. With FAULTS_FULL the faults
// last as long as the table says, and 200 native nodes come at once; otherwise 300 ms at most.
//
//	FAULTS_FULL=1 go test -count=1 -v -run TestFaults ./bridge
func TestFaults(t *testing.T) {
	full := os.Getenv("FAULTS_FULL") != ""
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "fault\tlasts\trecovery\tlost\tduplicated\treordered")
	row := func(name string, lasts time.Duration, f *faultyNet, recovery time.Duration) {
		lost, duplicated, reordered := f.check()
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\n", name, lasts, recovery.Round(10*time.Millisecond), lost, duplicated, reordered)
		require.Equal(t, []int{0, 0, 0}, []int{lost, duplicated, reordered}, name)
	}
	for _, c := range faults {
		lasts := c.full
		if !full {
			lasts = min(lasts, 300*time.Millisecond)
		}
		f := startFaultyNet(t, 4, 2)
		f.awaitAll("the start")
		c.begin(f)
		task.Sleep(t.Context(), lasts)
		c.end(f)
		row(c.name, lasts, f, f.awaitAll(c.name))
		f.close()
	}
	pairs := 20
	if full {
		pairs = 200
	}
	begin := time.Now()
	f := startFaultyNet(t, pairs, 4)
	f.awaitAll("the start")
	row(fmt.Sprintf("%d pairs at once", pairs), 0, f, time.Since(begin))
	f.close()
	require.NoError(t, table.Flush())
	t.Logf("\n%s", &text)
}
