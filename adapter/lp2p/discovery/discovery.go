package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	kb "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/access"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// The parameters of the DHT (Kademlia §2.3; libp2p kad-dht specification).
const (
	bucketSize  = 20 // k
	concurrency = 3  // alpha: a TM2 network is small, and nobody waits for a lookup
	resiliency  = 3  // beta
)

var _ compat.Reactor = (*Discovery)(nil)

// Discovery finds peers for a switch by a DHT on the host of its transport. It is
// started and stopped once: by its switch, of which it is a reactor, or by the owner
// of its Client. All methods may be called concurrently.
type Discovery struct {
	*compat.BaseReactor

	t      access.Transport
	opts   *options
	client Client // nil until there is a switch or an option says it
	self   peer.ID
	prefix protocol.ID
	proto  protocol.ID

	configured map[types.ID]bool // peers through which the DHT is entered

	filter addrFilter

	// Set by OnStart, before anything that reads them runs.
	dht    *dht.IpfsDHT
	sender *sender

	unregister func() // ends the collection of metrics

	table    atomic.Pointer[kb.RoutingTable] // nil until the DHT is there
	ids      *p2paddr.IDs
	book     *addrbook.Book // of the DHT; that of the transport is for peers of the switch
	records  *records
	pool     *pool
	refused  *summary.Log // peers of other networks, which others can invent without end
	server   *server
	counters counters

	checking       chan struct{} // a place for each peer that is asked for its network
	tableGrew      task.Signal   // the routing table has a new member
	wake           task.Signal   // look for peers soon
	unwantedMember task.Signal   // somebody is in the routing table who must not be

	ctx    context.Context // ends when OnStop begins
	cancel context.CancelFunc
	loops  sync.WaitGroup
	tasks  task.Group // queries and connects
}

// New returns a Discovery on the transport, which outlives it. Nothing runs before
// Start. It fails for options that are not valid, and for a transport whose
// NodeInfo names no network, or one whose name is longer than 128 bytes.
func New(t *lp2p.Transport, opts ...Option) (*Discovery, error) {
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, errors.New("discovery needs a transport")
	}
	side := access.Of(t)
	prefix, err := protocolPrefix(side.NodeInfo().Network)
	if err != nil {
		return nil, err
	}
	book, err := newBook(side.NetAddress().ID, o.allowDuplicateIP)
	if err != nil {
		return nil, err
	}
	for _, id := range o.private {
		book.MarkPrivate(id)
		side.AddrBook().MarkPrivate(id)
	}
	d := &Discovery{
		t: side, opts: o, client: o.client, self: t.Host().ID(), prefix: prefix, proto: prefix + protocolSuffix,
		book: book, records: newRecords(), ids: p2paddr.NewIDs(maxIDs), configured: make(map[types.ID]bool),
		checking: make(chan struct{}, maxConnecting), tableGrew: task.NewSignal(), wake: task.NewSignal(), unwantedMember: task.NewSignal(),
	}
	for _, addr := range o.bootstrap {
		d.configured[addr.ID] = true
	}
	d.BaseReactor = compat.NewBaseReactor("dht", d)
	d.refused = summary.New(d.Logger)
	d.ctx, d.cancel = context.WithCancel(context.Background())

	return d, nil
}

// SetLogger implements service.Service. It must be called before Start.
func (d *Discovery) SetLogger(logger *slog.Logger) {
	d.BaseReactor.SetLogger(logger)
	d.refused = summary.New(logger)
}

// Protocol is the libp2p protocol of the DHT: /tm2/<network>/kad/1.0.0, the network
// escaped as a segment of a URL path.
func (d *Discovery) Protocol() protocol.ID { return d.proto }

// OnStart implements service.Service. The transport should listen already: whether
// it announces addresses decides about the mode, see ModeAuto.
func (d *Discovery) OnStart() error {
	if d.client == nil {
		return errors.New("discovery has no switch and no client")
	}
	d.filter.private.Store(d.privateAddresses())
	d.sender = &sender{d}
	d.pool, d.server = newPool(d), newServer(d)
	var err error
	if d.unregister, err = d.register(); err != nil {
		return err
	}
	h := newDHTHost(d)
	if d.dht, err = dht.New(h, d.dhtOptions()...); err != nil {
		d.server.shut(h.Host, d.proto)
		d.unregister()

		return fmt.Errorf("unable to make a DHT: %w", err)
	}
	d.table.Store(d.dht.RoutingTable())

	happened, unsubscribe := d.client.Subscribe(func(e events.Event) bool {
		return e.Type() == events.DialFailed || e.Type() == events.PeerRejected
	})
	d.loops.Go(func() {
		defer unsubscribe()
		d.watch(happened)
	})
	d.loops.Go(func() { d.t.AddrBook().KeepSaved(d.ctx, addrbook.DefaultSaveInterval, d.rememberAnchors, d.saveFailed) })
	d.dialAnchors()
	d.loops.Go(d.walkLoop)
	d.loops.Go(d.findLoop)

	return nil
}

func (d *Discovery) dhtOptions() []dht.Option {
	mode := dht.ModeServer
	switch {
	case d.opts.mode == ModeClient, d.opts.mode == ModeAuto && len(d.t.Host().Addrs()) == 0:
		mode = dht.ModeClient
	case d.opts.mode == ModeAuto:
		mode = dht.ModeAutoServer
	}

	return []dht.Option{
		dht.ProtocolPrefix(d.prefix),
		dht.Mode(mode),
		dht.DisableValues(), dht.DisableProviders(), dht.DisableAutoRefresh(),
		dht.BucketSize(bucketSize), dht.Concurrency(concurrency), dht.Resiliency(resiliency),
		dht.RoutingTableRefreshPeriod(d.opts.refreshInterval),
		dht.RoutingTableRefreshQueryTimeout(walkTimeout),
		dht.LookupCheckConcurrency(maxConnecting),
		dht.RoutingTablePeerDiversityFilter(newIPGroups(d.ipsOf, d.hostOf, d.isFreeOfGroups)),
		dht.RoutingTableFilter(func(_ any, p peer.ID) bool { return p != d.self && !d.unwanted(p) }),
		dht.QueryFilter(func(_ any, info peer.AddrInfo) bool { return !d.unwanted(info.ID) }),
		dht.WithCustomMessageSender(func(host.Host, []protocol.ID) dhtpb.MessageSenderWithDisconnect { return d.sender }),
	}
}

// privateAddresses reports whether private and loopback addresses pass the filter. By
// default they do if the node announces such an address. For a node that announces no
// address, those at which it listens decide: of 0.0.0.0, the addresses of the network
// interfaces. None of them may be public. An announced address counts first, because
// behind the NAT of a container every node listens at a private address.
func (d *Discovery) privateAddresses() bool {
	if d.opts.privateAddresses != nil {
		return *d.opts.privateAddresses
	}
	if own := netgroup.FromIP(d.t.NodeInfo().NetAddress.IP); own.IsValid() && !own.IsUnspecified() {
		return netgroup.IsLocal(own)
	}

	listens, err := d.t.Host().Network().InterfaceListenAddresses()
	if err != nil {
		return false // as on a public network, where mistakes harm more
	}
	local := false
	for _, a := range listens {
		at, _ := p2paddr.AddrPort(a)
		if netgroup.KindOf(at.Addr()) == netgroup.Public {
			return false
		}
		local = local || netgroup.IsLocal(at.Addr())
	}

	return local
}

// OnStop implements service.Service. It waits for everything that discovery has
// started, gives back all connections, and saves the address book of the transport. It
// does not wait for checks of new members in kad-dht, which are ended.
func (d *Discovery) OnStop() {
	d.tasks.Close()
	d.cancel()
	d.unregister()
	d.server.shut(d.t.Host(), d.proto)
	d.loops.Wait()
	if err := d.dht.Close(); err != nil {
		d.Logger.Error("cannot close the DHT", "err", err)
	}
	d.tasks.Wait()
	d.pool.close()
	d.refused.Close()
	if err := d.t.AddrBook().Flush(); err != nil {
		d.saveFailed(err)
	}
}

func (d *Discovery) saveFailed(err error) { d.Logger.Error("cannot save address book", "err", err) }

// InitPeer implements compat.Reactor. It runs before others can be told of a peer that
// is private only by its connection.
func (d *Discovery) InitPeer(p compat.PeerConn) compat.PeerConn {
	if p.IsPrivate() {
		d.markPrivate(p.ID())
	}

	return p
}

// AddPeer implements compat.Reactor. The peer is remembered, and is looked up when it
// is no longer at its address.
func (d *Discovery) AddPeer(p compat.PeerConn) {
	pid, ok := peerIDOf(p)
	if !ok {
		return
	}
	id, err := p2paddr.Learn(d.t.AddrBook(), pid)
	if err != nil || id != p.ID() {
		return
	}
	d.records.connected(pid, time.Now())
	for _, conn := range d.t.Host().Network().ConnsToPeer(pid) {
		d.noteConn(conn)
	}
	if !d.isPrivate(id) {
		d.records.want(pid, d.configured[id], time.Now())
		d.noteFound(pid)
	}
}

// RemovePeer implements compat.Reactor. It starts a walk soon, since a slot may be
// open.
func (d *Discovery) RemovePeer(compat.PeerConn, any) { d.Wake() }

// peerIDOf returns the libp2p identity of a peer that speaks for itself over
// libp2p.
func peerIDOf(p compat.PeerConn) (peer.ID, bool) {
	l, ok := p.(interface{ PeerID() peer.ID })
	if !ok || compat.Delegate(p) != "" {
		return "", false
	}

	return l.PeerID(), true
}

// markPrivate hides a peer that the switch calls private.
func (d *Discovery) markPrivate(id types.ID) {
	d.book.MarkPrivate(id)
	d.t.AddrBook().MarkPrivate(id)
	table := d.table.Load()
	if table == nil {
		return
	}
	for _, p := range table.ListPeers() {
		if found, err := d.ids.Of(p); err == nil && found == id {
			d.evict(p)
		}
	}
}

// evict removes a peer from the routing table and gives back its query connection.
func (d *Discovery) evict(p peer.ID) {
	if table := d.table.Load(); table != nil {
		table.RemovePeer(p)
	}
	d.pool.dropIf(func(h held) bool { return h.conn.RemotePeer() == p })
}

// connected reports whether the host has a connection to the peer.
func (d *Discovery) connected(p peer.ID) bool {
	return d.t.Host().Network().Connectedness(p) == network.Connected
}
