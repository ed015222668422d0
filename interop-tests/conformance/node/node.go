package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/program"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// node is a switch on one stack, with TM2's channels and the discovery reactor.
type node struct {
	transport compat.ListeningTransport
	sw        *adapter.MultiplexSwitch
	out       *program.Reporter
	dir       string // of the address book
}

// maxInbound is how many inbound peers a node lets in.
const maxInbound = 100

func newNode(stack string, c program.Config, out *program.Reporter, logger *slog.Logger) (*node, error) {
	key := types.GenerateNodeKey()
	listen, err := listenAddress(key.ID(), c)
	if err != nil {
		return nil, err
	}
	n := &node{out: out}
	info := nodeInfo(c, listen)
	if n.transport, err = newTransport(stack, info, key, logger); err != nil {
		return nil, err
	}
	if err := n.transport.Listen(*listen); err != nil {
		return nil, errors.Join(err, n.transport.Close())
	}
	if n.dir, err = os.MkdirTemp("", "conformance"); err != nil {
		return nil, errors.Join(err, n.transport.Close())
	}
	book, err := addrbook.Open(filepath.Join(n.dir, "addrbook.json"), *info.NetAddress)
	if err != nil {
		return nil, errors.Join(err, n.transport.Close(), os.RemoveAll(n.dir))
	}
	n.sw = adapter.NewMultiplexSwitch(n.transport,
		adapter.WithReactor("sink", newSink(c.Channels)), adapter.WithReactor("discovery", pex.NewReactor(book)),
		adapter.WithAllowDuplicateIP(c.AllowDuplicateIP), adapter.WithMaxInboundPeers(maxInbound), adapter.WithMaxOutboundPeers(100),
	)
	n.sw.SetLogger(logger)

	return n, nil
}

func newTransport(stack string, info types.NodeInfo, key *types.NodeKey, logger *slog.Logger) (compat.ListeningTransport, error) {
	switch stack {
	case "native":
		return native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), logger), nil
	case "libp2p":
		return lp2p.NewTransport(info, *key, logger)
	case "quic":
		return lp2p.NewTransport(info, *key, logger, lp2p.WithQUIC())
	default:
		return dual.NewTransport(info, *key, mconn.DefaultMConnConfig(), logger)
	}
}

func nodeInfo(c program.Config, listen *types.NetAddress) types.NodeInfo {
	const rc = "v1.0.0-rc.0"
	channels := append(append([]byte(nil), c.Channels...), pex.Channel)

	return types.NodeInfo{
		VersionSet: types.VersionSet{
			{Name: "abci", Version: rc}, {Name: "app", Version: "dev"}, {Name: "bft", Version: rc},
			{Name: "blockchain", Version: rc}, {Name: "p2p", Version: rc},
		},
		NetAddress: listen, Network: c.Network, Software: "tm2-libp2p", Version: rc, Channels: channels, Moniker: c.Moniker,
		Other: types.NodeInfoOther{TxIndex: "off", RPCAddress: "tcp://127.0.0.1:36657"},
	}
}

// Start implements program.Node.
func (n *node) Start() error {
	addr := n.transport.NetAddress()
	n.out.Report(protocol.Event{Event: protocol.EventListening, Addr: addr.String(), NodeInfo: &protocol.NodeInfo{}})

	return n.sw.Start()
}

// Stop implements program.Node.
func (n *node) Stop() error {
	var errs []error
	if n.sw.IsRunning() {
		errs = append(errs, n.sw.Stop())
	}

	return errors.Join(append(errs, n.transport.Close(), os.RemoveAll(n.dir))...)
}

// Dial implements program.Node.
func (n *node) Dial(addr string) error {
	na, err := types.ParseNetAddress(addr)
	if err != nil {
		return err
	}
	n.sw.DialPeers(na)

	return nil
}

// Peers implements program.Node.
func (n *node) Peers() []program.Peer { return nil }

// Peer implements program.Node.
func (n *node) Peer(string) program.Peer { return nil }

// sink takes the messages of channels and does nothing with them.
type sink struct {
	compat.BaseReactor

	channels []*compat.ChannelDescriptor
}

// capacities are those of docs/wire.md §7.
var capacities = map[byte]int{0x20: 1 << 20, 0x21: 1 << 20, 0x22: 1 << 20, 0x23: 1 << 20, 0x30: 22020096, 0x40: 8454144}

func newSink(channels []byte) *sink {
	s := &sink{}
	s.BaseReactor = *compat.NewBaseReactor("sink", s)
	for _, id := range channels {
		s.channels = append(s.channels, &compat.ChannelDescriptor{ID: id, Priority: 5, RecvMessageCapacity: capacities[id]})
	}

	return s
}

// GetChannels implements compat.Reactor.
func (s *sink) GetChannels() []*compat.ChannelDescriptor { return s.channels }

// Receive implements compat.Reactor.
func (*sink) Receive(byte, compat.PeerConn, []byte) {}
