package pex_test

import (
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// node is a switch on an in-memory transport with a discovery reactor.
type node struct {
	*adapter.MultiplexSwitch
	tr   *memory.Transport
	book *addrbook.Book
	pex  *pex.Reactor
}

// nodeOptions describe a node; the zero value is one with a book in memory.
type nodeOptions struct {
	info     *types.NodeInfo // a new one when nil
	bookPath string
	book     []addrbook.Option
	reactor  []pex.Option
	sw       []adapter.SwitchOption
}

// newNode starts a node. It is for use in a synctest bubble, like all of these,
// and is to be stopped there.
func newNode(t *testing.T, network *memory.Network, o nodeOptions) *node {
	t.Helper()
	n := &node{tr: listen(t, network, o.info)}
	book, err := addrbook.Open(o.bookPath, n.tr.NetAddress(), o.book...)
	require.NoError(t, err)
	n.book, n.pex = book, pex.NewReactor(book, o.reactor...)
	n.MultiplexSwitch = adapter.NewMultiplexSwitch(n.tr, append([]adapter.SwitchOption{
		adapter.WithReactor("discovery", n.pex), adapter.WithAllowDuplicateIP(true),
	}, o.sw...)...)
	require.NoError(t, n.Start())

	return n
}

func listen(t *testing.T, network *memory.Network, info *types.NodeInfo) *memory.Transport {
	t.Helper()
	if info == nil {
		return network.NewTransport(pex.Channel)
	}
	tr, err := network.NewTransportFor(*info)
	require.NoError(t, err)

	return tr
}

func (n *node) addr() *types.NetAddress { a := n.tr.NetAddress(); return &a }

func (n *node) id() types.ID { return n.tr.NetAddress().ID }

func (n *node) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, n.Stop())
	require.NoError(t, n.tr.Close())
	synctest.Wait()
}

// stranger is a node whose reactor sends what the test wants, and keeps what it
// is sent.
type stranger struct {
	*adapter.MultiplexSwitch
	tr *memory.Transport

	mtx  sync.Mutex
	msgs [][]byte
}

func newStranger(t *testing.T, network *memory.Network, info *types.NodeInfo) *stranger {
	t.Helper()
	s := &stranger{tr: listen(t, network, info)}
	r := &strangeReactor{s: s}
	r.BaseReactor = *compat.NewBaseReactor("stranger", r)
	s.MultiplexSwitch = adapter.NewMultiplexSwitch(s.tr,
		adapter.WithReactor("stranger", r), adapter.WithAllowDuplicateIP(true))
	require.NoError(t, s.Start())

	return s
}

type strangeReactor struct {
	compat.BaseReactor
	s *stranger
}

func (*strangeReactor) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: pex.Channel, Priority: 1, SendQueueCapacity: 1000}}
}

func (r *strangeReactor) Receive(_ byte, _ compat.PeerConn, msg []byte) {
	r.s.mtx.Lock()
	defer r.s.mtx.Unlock()
	r.s.msgs = append(r.s.msgs, append([]byte(nil), msg...))
}

func (s *stranger) addr() *types.NetAddress { a := s.tr.NetAddress(); return &a }

func (s *stranger) id() types.ID { return s.tr.NetAddress().ID }

func (s *stranger) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, s.Stop())
	require.NoError(t, s.tr.Close())
	synctest.Wait()
}

// send sends the messages to the node and waits until they are handled.
func (s *stranger) send(t *testing.T, to *node, msgs ...[]byte) {
	t.Helper()
	peer := s.Peers().Get(to.id())
	require.NotNil(t, peer)
	for _, msg := range msgs {
		require.True(t, peer.Send(pex.Channel, msg))
	}
	synctest.Wait()
}

// take returns what has come since the last call.
func (s *stranger) take() [][]byte {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	msgs := s.msgs
	s.msgs = nil

	return msgs
}

// takeAnswers returns the addresses of the responses that have come since the
// last call.
func (s *stranger) takeAnswers(t *testing.T) (answers [][]string) {
	t.Helper()
	for _, msg := range s.take() {
		addrs, request, err := wire.DecodeDiscovery(msg)
		require.NoError(t, err)
		if !request {
			answers = append(answers, addrs)
		}
	}

	return answers
}

// ask sends a request when the rate allows it, and returns the answer, or nil
// when none comes.
func (s *stranger) ask(t *testing.T, n *node) []string {
	t.Helper()
	pass(time.Second)
	s.take()
	s.send(t, n, wire.AppendRequest(nil))
	answers := s.takeAnswers(t)
	require.LessOrEqual(t, len(answers), 1)
	if len(answers) == 0 {
		return nil
	}

	return answers[0]
}

// switchNode is a node of either kind.
type switchNode interface {
	compat.Switch
	addr() *types.NetAddress
	id() types.ID
}

func connect(t *testing.T, from, to switchNode) {
	t.Helper()
	from.DialPeers(to.addr())
	synctest.Wait()
	require.True(t, from.Peers().Has(to.id()))
	require.True(t, to.Peers().Has(from.id()))
}

// disconnect ends the connection between two nodes.
func disconnect(t *testing.T, a, b switchNode) {
	t.Helper()
	a.StopPeerForError(a.Peers().Get(b.id()), nil)
	synctest.Wait()
	require.False(t, a.Peers().Has(b.id()))
	require.False(t, b.Peers().Has(a.id()))
}

// pass lets time go by in a synctest bubble.
func pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
	synctest.Wait()
}

// infoAt is a new node at the IP.
func infoAt(network *memory.Network, ip string) *types.NodeInfo {
	info := network.NewNodeInfo(pex.Channel)
	info.NetAddress.IP = net.ParseIP(ip)

	return &info
}

// addrAt is the address of a new node that does not exist.
func addrAt(ip string, port uint16) *types.NetAddress {
	addr := types.NewNetAddressFromIPPort(net.ParseIP(ip), port)
	addr.ID = types.GenerateNodeKey().ID()

	return addr
}

// response is a response with the addresses.
func response(addrs ...*types.NetAddress) []byte {
	texts := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		texts = append(texts, addr.String())
	}

	return wire.AppendResponse(nil, texts)
}

func bookPath(t *testing.T) string { return filepath.Join(t.TempDir(), "addrbook.json") }

func texts(addrs []*types.NetAddress) []string {
	list := make([]string, 0, len(addrs))
	for _, addr := range addrs {
		list = append(list, addr.String())
	}

	return list
}
