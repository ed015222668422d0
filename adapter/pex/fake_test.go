package pex_test

import (
	"net"
	"slices"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// fakeSwitch is a switch of which a test sees what a reactor wants of it. The
// zero value is ready.
type fakeSwitch struct {
	compat.PeerSet // none

	events *events.Events
	peers  []compat.PeerConn

	mtx     sync.Mutex
	dials   []*types.NetAddress
	stopped []error
	subs    int
}

func (s *fakeSwitch) Peers() compat.PeerSet { return s }

func (s *fakeSwitch) List() []compat.PeerConn { return slices.Clone(s.peers) }

func (*fakeSwitch) Broadcast(byte, []byte) {}

func (s *fakeSwitch) Subscribe(filter events.EventFilter) (<-chan events.Event, func()) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.events == nil {
		s.events = events.New()
	}
	s.subs++
	ch, cancel := s.events.Subscribe(filter)

	return ch, func() {
		s.mtx.Lock()
		defer s.mtx.Unlock()
		s.subs--
		cancel()
	}
}

func (s *fakeSwitch) StopPeerForError(_ compat.PeerConn, err error) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.stopped = append(s.stopped, err)
}

func (s *fakeSwitch) DialPeers(addrs ...*types.NetAddress) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.dials = append(s.dials, addrs...)
}

func (s *fakeSwitch) dialed() []*types.NetAddress {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return slices.Clone(s.dials)
}

func (s *fakeSwitch) subscribers() int {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return s.subs
}

// fakePeer is a peer that keeps what it is sent. Only what a discovery reactor
// uses works.
type fakePeer struct {
	compat.PeerConn // none

	info     types.NodeInfo
	outbound bool
	private  bool
	full     bool // takes nothing

	values map[string]any
	sent   [][]byte
}

func newFakePeer(addr *types.NetAddress) *fakePeer {
	return &fakePeer{
		info:   types.NodeInfo{NetAddress: addr, Channels: []byte{0x50}},
		values: make(map[string]any),
	}
}

func (p *fakePeer) ID() types.ID                  { return p.info.NetAddress.ID }
func (p *fakePeer) RemoteIP() net.IP              { return p.info.NetAddress.IP }
func (p *fakePeer) SocketAddr() *types.NetAddress { return p.info.NetAddress }
func (p *fakePeer) NodeInfo() types.NodeInfo      { return p.info }
func (p *fakePeer) IsOutbound() bool              { return p.outbound }
func (p *fakePeer) IsPrivate() bool               { return p.private }
func (p *fakePeer) Set(key string, value any)     { p.values[key] = value }
func (p *fakePeer) Get(key string) any            { return p.values[key] }

func (p *fakePeer) TrySend(_ byte, msg []byte) bool {
	if p.full {
		return false
	}
	p.sent = append(p.sent, msg)

	return true
}
