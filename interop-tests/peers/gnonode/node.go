package gnonode

import (
	stded25519 "crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/gnolang/gno/tm2/pkg/crypto/ed25519"
	"github.com/gnolang/gno/tm2/pkg/p2p"
	p2pcfg "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
	"github.com/gnolang/gno/tm2/pkg/p2p/discovery"
	"github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/program"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// maxPeers is more than any test connects.
const maxPeers = 100

// node is one legacy peer.
type node struct {
	release   Release
	out       *program.Reporter
	addr      types.NetAddress // listen address
	info      types.NodeInfo
	transport *p2p.MultiplexTransport
	sw        *p2p.MultiplexSwitch
	reactor   *reactor
	dir       string // of the discovery reactor; empty without it
}

// New makes nodes of the release.
func New(release Release) program.NewNode {
	return func(c program.Config, out *program.Reporter, logger *slog.Logger) (program.Node, error) {
		n := &node{release: release, out: out}
		if err := n.listen(c, logger); err != nil {
			return nil, err
		}
		if err := n.newSwitch(c, logger); err != nil {
			return nil, errors.Join(err, n.transport.Close())
		}

		return n, nil
	}
}

func (n *node) listen(c program.Config, logger *slog.Logger) error {
	key := nodeKey(c.Seed)
	listen, err := types.NewNetAddressFromString(types.NetAddressString(key.ID(), c.Listen))
	if err != nil {
		return fmt.Errorf("listen address: %w", err)
	}
	descs, err := descriptors(c.Channels, n.release)
	if err != nil {
		return err
	}
	n.reactor = newReactor(descs, n.out)
	n.info = nodeInfo(c, *listen)

	mConfig := conn.MConfigFromP2P(p2pcfg.DefaultP2PConfig())
	mConfig.PingInterval, mConfig.PongTimeout = c.PingInterval, c.PongTimeout
	n.transport = p2p.NewMultiplexTransport(n.info, *key, mConfig, logger)
	if err := n.transport.Listen(*listen); err != nil {
		return err
	}
	n.addr = n.transport.NetAddress()
	// The transport shares this NetAddress. Its port is not known before Listen.
	n.info.NetAddress.Port = n.addr.Port

	return nil
}

func (n *node) newSwitch(c program.Config, logger *slog.Logger) error {
	persistent, errs := types.NewNetAddressFromStrings(c.Persistent)
	if len(errs) > 0 {
		return fmt.Errorf("persistent peers: %w", errors.Join(errs...))
	}
	n.reactor.SetLogger(logger)
	opts := []p2p.SwitchOption{
		p2p.WithReactor("interop", n.reactor),
		p2p.WithPersistentPeers(persistent),
		p2p.WithMaxInboundPeers(maxPeers),
		p2p.WithMaxOutboundPeers(maxPeers),
	}
	if allow := n.release.AllowDuplicateIP; allow != nil {
		opts = append(opts, allow(c.AllowDuplicateIP))
	}
	if c.Discovery {
		disc, err := n.newDiscovery(c, logger)
		if err != nil {
			return err
		}
		opts = append(opts, p2p.WithReactor("discovery", disc))
	}
	n.sw = p2p.NewMultiplexSwitch(n.transport, opts...)
	n.sw.SetLogger(logger)

	return nil
}

func (n *node) newDiscovery(c program.Config, logger *slog.Logger) (*discoveryTap, error) {
	dir, err := os.MkdirTemp("", "gnopeer")
	if err != nil {
		return nil, err
	}
	r, err := n.discoveryIn(dir, c, logger)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	n.dir = dir
	tap := &discoveryTap{Reactor: r, out: n.out}
	tap.SetLogger(logger)

	return tap, nil
}

// discoveryIn returns gno's reactor with its files in the folder.
func (n *node) discoveryIn(dir string, c program.Config, logger *slog.Logger) (*discovery.Reactor, error) {
	if c.AddressBook != "" {
		book, err := os.ReadFile(c.AddressBook)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "addrbook.json"), book, 0o600); err != nil {
			return nil, err
		}
	}

	return n.release.NewDiscovery(Discovery{Dir: dir, Self: n.addr, Period: c.DiscoveryPeriod, Logger: logger})
}

// Start implements program.Node.
func (n *node) Start() error {
	n.out.Report(protocol.Event{Event: protocol.EventListening, Addr: n.addr.String(), NodeInfo: describe(n.info)})

	return n.sw.Start()
}

// Stop implements program.Node.
func (n *node) Stop() error {
	var errs []error
	if n.sw.IsRunning() {
		errs = append(errs, n.sw.Stop())
	}
	errs = append(errs, n.transport.Close())
	if n.dir != "" {
		errs = append(errs, os.RemoveAll(n.dir))
	}

	return errors.Join(errs...)
}

// Dial implements program.Node.
func (n *node) Dial(addr string) error {
	na, err := types.NewNetAddressFromString(addr)
	if err != nil {
		return err
	}
	n.sw.DialPeers(na)

	return nil
}

// Peers implements program.Node.
func (n *node) Peers() []program.Peer {
	var peers []program.Peer
	for _, p := range n.sw.Peers().List() {
		peers = append(peers, remote{p})
	}

	return peers
}

// Peer implements program.Node.
func (n *node) Peer(id string) program.Peer {
	p := n.sw.Peers().Get(types.ID(id))
	if p == nil {
		return nil
	}

	return remote{p}
}

// remote is gno's peer as a program.Peer.
type remote struct{ conn p2p.PeerConn }

func (r remote) ID() string                    { return r.conn.ID().String() }
func (r remote) Send(ch byte, msg []byte) bool { return r.conn.Send(ch, msg) }

func nodeKey(seed []byte) *types.NodeKey {
	if seed == nil {
		return types.GenerateNodeKey()
	}

	return &types.NodeKey{PrivKey: ed25519.PrivKeyEd25519(stded25519.NewKeyFromSeed(seed))}
}
