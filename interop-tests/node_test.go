package interoptests

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// sendBacklog is how many batches may wait on one channel of a node.
const sendBacklog = 256

// nodeOptions configures a node of ours. Its zero value is a node like that of the zero
// legacy.Options.
type nodeOptions struct {
	moniker    string
	network    string // "interop" when empty
	persistent []string
	discovery  bool // report messages of channel 0x50
	key        *types.NodeKey
	maxPeers   uint64                   // the switch's default when 0
	ip         string                   // its own, with the defaults of a switch; loopback, which nodes share, when empty
	configure  func(*mconn.MConnConfig) // of the native stack; may be nil
}

// sockets returns those of a node that dials from its IP, or nil.
func (o nodeOptions) sockets() compat.Sockets {
	if o.ip == "" {
		return nil
	}

	return stacktest.SocketsFrom{IP: net.ParseIP(o.ip)}
}

type transport = compat.ListeningTransport

// node is our switch on one of our transports, with the log of its events.
type node struct {
	*peerlog.Log

	t         *testing.T
	info      types.NodeInfo
	transport transport
	sw        *adapter.MultiplexSwitch
	stop      func() error // of the switch
	stopOnce  sync.Once

	mtx   sync.Mutex
	dials map[types.ID]*lastDial // that Dial has begun

	senders sync.WaitGroup // drained by closing the queues
	queues  map[byte]chan func()
	watcher sync.WaitGroup // forwards the events of the switch
	unwatch func()
}

// startNative starts a node on the native stack.
func startNative(t *testing.T, o nodeOptions) *node {
	t.Helper()
	log := peerlog.New("native " + o.moniker)
	key := o.key
	if key == nil {
		key = types.GenerateNodeKey()
	}
	info := newNodeInfo(key.ID(), o)
	config := mconn.DefaultMConnConfig()
	if o.configure != nil {
		o.configure(&config)
	}
	tr := native.NewMultiplexTransport(info, *key, config, newLogger(log), native.WithSockets(o.sockets()))

	return startNode(t, log, tr, info, o)
}

// startNode listens on a free port and starts the switch. It ends both at the end of the
// test.
func startNode(t *testing.T, log *peerlog.Log, tr transport, info types.NodeInfo, o nodeOptions) *node {
	t.Helper()
	n := &node{Log: log, t: t, info: info, transport: tr, queues: make(map[byte]chan func())}
	showOnFailure(t, log)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(*info.NetAddress))
	addr := tr.NetAddress()
	n.info.NetAddress = &addr

	persistent, errs := types.NewNetAddressFromStrings(o.persistent)
	require.Empty(t, errs)
	opts := []adapter.SwitchOption{
		adapter.WithReactor("interop", newRecorder(t, log, o.discovery)),
		adapter.WithPersistentPeers(persistent),
		adapter.WithAllowDuplicateIP(o.ip == ""),
	}
	if o.maxPeers != 0 {
		opts = append(opts, adapter.WithMaxInboundPeers(o.maxPeers), adapter.WithMaxOutboundPeers(o.maxPeers))
	}
	n.sw = adapter.NewMultiplexSwitch(tr, opts...)
	n.sw.SetLogger(newLogger(log))
	n.stop = n.sw.Stop
	n.runSenders()
	n.watch()
	t.Cleanup(n.Stop)
	require.NoError(t, n.sw.Start())

	return n
}

// runSenders begins to work on the queues of Send.
func (n *node) runSenders() {
	for _, ch := range realChannels {
		queue := make(chan func(), sendBacklog)
		n.queues[ch] = queue
		n.senders.Go(func() {
			for send := range queue {
				send()
			}
		})
	}
}

// watch reports failed dials, and notes whom the switch refuses that it has dialed.
func (n *node) watch() {
	failed, unwatch := n.sw.Subscribe(func(e events.Event) bool {
		return e.Type() == events.DialFailed || e.Type() == events.PeerRejected
	})
	n.unwatch = unwatch
	n.watcher.Go(func() {
		for e := range failed {
			switch ev := e.(type) {
			case events.DialFailedEvent:
				n.ended(ev.Address.ID, ev.Reason)
				n.Append(protocol.Event{
					Event: protocol.EventDialFailed, Peer: ev.Address.ID.String(), Addr: ev.Address.String(), Reason: ev.Reason.Error(),
				})
			case events.PeerRejectedEvent:
				if ev.Outbound {
					n.ended(ev.PeerID, ev.Reason)
				}
			}
		}
	})
}

// lastDial is the last dial of one node by another.
type lastDial struct {
	begun time.Time
	took  time.Duration // until it failed
	err   error         // nil until then
}

// ended notes that a dial of the node with the ID has failed.
func (n *node) ended(id types.ID, err error) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	if d := n.dials[id]; d != nil && d.err == nil {
		d.took, d.err = time.Since(d.begun), err
	}
}

// broken returns the failure of the last dial of the node with the ID, unless a busy machine explains it: the dial
// timed out, or lasted as long as the other end waits in a handshake before it hangs up.
func (n *node) broken(id types.ID) error {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	d := n.dials[id]
	if d == nil || compat.ClassifyDial(d.err) == compat.DialTimedOut || d.took >= handshakeTime {
		return nil
	}

	return d.err
}

// Stop stops the switch and waits for the node's goroutines. Further calls do nothing.
func (n *node) Stop() {
	n.stopOnce.Do(func() {
		require.NoError(n.t, n.stop())
		for _, queue := range n.queues {
			close(queue)
		}
		n.senders.Wait()
		n.unwatch()
		n.watcher.Wait()
	})
}

// ID returns the node's TM2 ID.
func (n *node) ID() string { return n.info.ID().String() }

// Addr returns the listen address, ID@IP:port.
func (n *node) Addr() string { return n.info.NetAddress.String() }

// HostPort returns the listen address, IP:port.
func (n *node) HostPort() string { return n.info.NetAddress.DialString() }

// NodeInfo returns the node's NodeInfo.
func (n *node) NodeInfo() protocol.NodeInfo { return *describe(n.info) }

// Dial makes the node dial an address, ID@IP:port, once.
func (n *node) Dial(addr string) {
	n.t.Helper()
	na, err := types.ParseNetAddress(addr)
	require.NoError(n.t, err)
	n.mtx.Lock()
	if n.dials == nil {
		n.dials = make(map[types.ID]*lastDial)
	}
	n.dials[na.ID] = &lastDial{begun: time.Now()}
	n.mtx.Unlock()
	n.sw.DialPeers(na)
}

// Send makes the node send messages like legacy.Peer.Send, and returns at once. For
// protocol.AllPeers it calls Broadcast.
func (n *node) Send(to string, channel byte, size, count int, seed uint64) {
	n.queues[channel] <- func() {
		for i := range count {
			if err := n.sendOne(to, channel, protocol.Payload(seed, i, size)); err != nil {
				n.Append(protocol.Event{Event: protocol.EventError, Reason: err.Error()})

				return
			}
		}
	}
}

func (n *node) sendOne(to string, channel byte, msg []byte) error {
	if to == protocol.AllPeers {
		n.sw.Broadcast(channel, msg)

		return nil
	}
	peer := n.sw.Peers().Get(types.ID(to))
	if peer == nil {
		return fmt.Errorf("send: no peer %s", to)
	}
	if !peer.Send(channel, msg) {
		return fmt.Errorf("send: %d bytes to %s on %#02x were not accepted", len(msg), to, channel)
	}

	return nil
}

func newNodeInfo(id types.ID, o nodeOptions) types.NodeInfo {
	addr, err := types.ParseNetAddress(types.NetAddressString(id, cmp.Or(o.ip, "127.0.0.1")+":0"))
	if err != nil {
		panic(err) // the text is a valid address
	}
	versions := types.VersionSet{{Name: "own", Version: "v9.8.7", Optional: true}}
	for _, name := range []string{"abci", "bft", "blockchain", "p2p"} {
		versions.Set(types.VersionInfo{Name: name, Version: "v1.0.0-rc.0"})
	}
	versions.Set(types.VersionInfo{Name: "app", Version: "dev"})
	info := types.NodeInfo{
		VersionSet: versions,
		NetAddress: addr,
		Network:    o.network,
		Software:   "tm2-libp2p",
		Version:    "v0.1.0",
		Channels:   realChannels,
		Moniker:    o.moniker,
		Other:      types.NodeInfoOther{TxIndex: "off", RPCAddress: "tcp://127.0.0.1:36657"},
	}
	if info.Network == "" {
		info.Network = "interop"
	}

	return info
}

func describe(info types.NodeInfo) *protocol.NodeInfo {
	d := &protocol.NodeInfo{
		NetAddress: info.NetAddress.String(),
		Network:    info.Network,
		Software:   info.Software,
		Version:    info.Version,
		Channels:   hex.EncodeToString(info.Channels),
		Moniker:    info.Moniker,
		TxIndex:    info.Other.TxIndex,
		RPCAddress: info.Other.RPCAddress,
	}
	for _, v := range info.VersionSet {
		d.Versions = append(d.Versions, fmt.Sprintf("%s %s %t", v.Name, v.Version, v.Optional))
	}

	return d
}
