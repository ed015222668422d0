package discovery_test

import (
	"crypto/rand"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/discovery"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// serveDHT makes the host answer every query on the protocol with what answer
// returns.
func serveDHT(h host.Host, id protocol.ID, answer func() []peer.AddrInfo) {
	h.SetStreamHandler(id, func(stream network.Stream) {
		defer stream.Close()
		for {
			body, err := wire.ReadSized(stream, 1<<20)
			req := new(dhtpb.Message)
			if err != nil || proto.Unmarshal(body, req) != nil {
				return
			}
			resp := dhtpb.NewMessage(req.GetType(), nil, 0)
			resp.CloserPeers = dhtpb.RawPeerInfosToPBPeers(answer())
			raw, err := proto.Marshal(resp)
			if err != nil {
				return
			}
			if _, err := stream.Write(wire.AppendSized(nil, raw)); err != nil {
				return
			}
		}
	})
}

// A node of the network alpha takes part in the DHT of beta, too, and tells
// everybody of all nodes of both. The networks share it as the only entry.
func TestNetworksNeverMix(t *testing.T) {
	const count = 4
	liar := newNode(t, spec{network: "alpha", silent: true})
	var (
		mtx sync.Mutex
		all []peer.AddrInfo
	)
	answer := func() []peer.AddrInfo {
		mtx.Lock()
		defer mtx.Unlock()

		return append([]peer.AddrInfo(nil), all...)
	}
	for _, name := range []string{"alpha", "beta"} {
		serveDHT(liar.t.Host(), protocol.ID("/tm2/"+name+"/kad/1.0.0"), answer)
	}

	networks := map[types.ID]string{liar.id(): "alpha"}
	var nodes []*node
	for range count {
		for _, name := range []string{"alpha", "beta"} {
			n := newNode(t, spec{network: name, seeds: []*node{liar}})
			networks[n.id()] = name
			nodes = append(nodes, n)
			mtx.Lock()
			all = append(all, peer.AddrInfo{ID: n.t.Host().ID(), Addrs: n.t.Host().Network().ListenAddresses()})
			mtx.Unlock()
		}
	}
	var mixed atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	var foreign [2 * count]atomic.Int64 // refused dials of the liar; others may be late
	for i, n := range nodes {
		happened, cancel := n.Subscribe(nil)
		wg.Go(func() {
			for e := range happened {
				switch e := e.(type) {
				case events.PeerConnectedEvent:
					if networks[e.PeerID] != networks[n.id()] {
						mixed.Add(1)
					}
				case events.DialFailedEvent:
					if e.Address.ID == liar.id() && compat.ClassifyDial(e.Reason) == compat.DialOtherNetwork {
						foreign[i].Add(1)
					}
				}
			}
		})
		defer cancel()
	}

	await(t, "each network has found itself, and beta who is not of it", func() bool {
		for _, n := range nodes {
			want := count - 1
			if networks[n.id()] == "alpha" {
				want = count
			} else if n.d.Stats().Refused == 0 {
				return false
			}
			if len(n.Peers().List()) < want {
				return false
			}
		}

		return true
	}, nodes...)

	// Beta goes on looking without coming back to the liar.
	for i, n := range nodes {
		if networks[n.id()] != "beta" {
			continue
		}
		walks := n.d.Stats().Walks
		n.d.RemovePeer(nil, nil) // as if there were a slot to fill
		await(t, "another walk", func() bool { return n.d.Stats().Walks > walks+1 }, n)
		require.LessOrEqual(t, foreign[i].Load(), int64(1))
		require.Less(t, n.d.Stats().Table, count, "neither the liar nor anybody of alpha")
	}
	require.Zero(t, mixed.Load())
	for _, n := range nodes {
		for _, p := range n.Peers().List() {
			require.Equal(t, networks[n.id()], networks[p.ID()])
		}
	}
}

// victim counts who connects to it.
type victim struct {
	net.Listener
	conns atomic.Int64
	wg    sync.WaitGroup
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	v := &victim{Listener: l}
	v.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			v.conns.Add(1)
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); v.wg.Wait() })

	return v
}

func (v *victim) port() string { return strconv.Itoa(v.Addr().(*net.TCPAddr).Port) }

// One machine with many keys takes all places of the server and keeps them. A query
// of somebody else is answered all the same.
func TestOneMachineKeepsNobodyFromAsking(t *testing.T) {
	n := newNode(t, spec{})
	ping := wire.AppendSized(nil, mustMarshal(t, dhtpb.NewMessage(dhtpb.Message_PING, nil, 0)))
	open := func(s *stranger) error {
		stream, err := s.NewStream(timeout(t), n.t.Host().ID(), n.d.Protocol())
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = stream.Reset() })
		if err := stream.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := stream.Write(ping); err != nil {
			return err
		}
		_, err = wire.ReadSized(stream, 1<<10)

		return err
	}
	for range 33 { // 8 streams each, 256 in all
		s := newStranger(t)
		s.meet(t, n)
		for range 8 {
			require.NoError(t, open(s))
		}
	}
	honest := newStranger(t)
	honest.meet(t, n)
	require.NoError(t, open(honest))
}

func randomPeer(t *testing.T) peer.ID {
	t.Helper()
	_, pub, err := crypto.GenerateEd25519Key(rand.Reader)
	require.NoError(t, err)
	id, err := peer.IDFromPublicKey(pub)
	require.NoError(t, err)

	return id
}

// A server of the DHT answers each query with hundreds of peers that do not exist,
// all at the address of somebody who has nothing to do with it.
func TestWrongHintsAreBounded(t *testing.T) {
	v := newVictim(t)
	at, err := multiaddr.NewMultiaddr(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", v.Addr().(*net.TCPAddr).Port))
	require.NoError(t, err)
	_, weird, err := crypto.GenerateECDSAKeyPair(rand.Reader)
	require.NoError(t, err)
	noTM2, err := peer.IDFromPublicKey(weird)
	require.NoError(t, err)
	var asked atomic.Int64
	answer := func() []peer.AddrInfo {
		asked.Add(1)
		infos := []peer.AddrInfo{{ID: noTM2, Addrs: []multiaddr.Multiaddr{at}}, {ID: "nonsense"}}
		for range 300 {
			infos = append(infos, peer.AddrInfo{ID: randomPeer(t), Addrs: []multiaddr.Multiaddr{at}})
		}

		return infos
	}
	liar := newNode(t, spec{silent: true})
	n := newNode(t, spec{seeds: []*node{liar}})
	failed, begun := failures(t, n), time.Now()
	serveDHT(liar.t.Host(), n.d.Protocol(), answer)

	await(t, "some walks", func() bool { return n.d.Stats().Walks >= 4 }, n)
	s := n.d.Stats()
	require.LessOrEqual(t, v.conns.Load(), int64(3), "for so many made-up IDs at most")
	require.GreaterOrEqual(t, s.PeersDropped, uint64(asked.Load()-1)*280,
		"of 300 peers 21 are looked at; the last answer may be on its way")
	require.LessOrEqual(t, s.Known, 21*int(asked.Load())+1)
	require.LessOrEqual(t, s.Table, 1)
	require.LessOrEqual(t, s.Hints, 1+uint64(time.Since(begun)/discovery.HintWait), "the liar itself, which exists, again after hintWait")
	select {
	case e := <-failed:
		require.Equal(t, liar.id(), e.(events.DialFailedEvent).Address.ID)
	default:
	}
}

// What strangers send is bounded before it is believed, or kept.
func TestBadQueriesAreCutOff(t *testing.T) {
	n := newNode(t, spec{})
	s := newStranger(t)
	s.meet(t, n)
	ask := func(raw []byte) error {
		_, err := s.ask(t, n, n.d.Protocol(), raw)

		return err
	}
	ping, err := proto.Marshal(dhtpb.NewMessage(dhtpb.Message_PING, nil, 0))
	require.NoError(t, err)
	good := wire.AppendSized(nil, ping)
	require.NoError(t, ask(good))
	for name, raw := range map[string][]byte{
		"a length of 4 MiB": {0x80, 0x80, 0x80, 0x02, 0x00},
		"a long key":        wire.AppendSized(nil, mustMarshal(t, dhtpb.NewMessage(dhtpb.Message_FIND_NODE, make([]byte, 300), 0))),
		"no key":            wire.AppendSized(nil, mustMarshal(t, dhtpb.NewMessage(dhtpb.Message_FIND_NODE, nil, 0))),
		"no message":        wire.AppendSized(nil, []byte{0xff, 0xff}),
		"an unknown type":   wire.AppendSized(nil, mustMarshal(t, dhtpb.NewMessage(77, []byte("k"), 0))),
	} {
		require.Error(t, ask(raw), name)
	}

	// One stream brings so many queries and no more.
	stream, err := s.NewStream(timeout(t), n.t.Host().ID(), n.d.Protocol())
	require.NoError(t, err)
	defer stream.Reset()
	require.NoError(t, stream.SetDeadline(time.Now().Add(patience)))
	answered := 0
	for {
		if _, err := stream.Write(good); err != nil {
			break
		}
		if _, err := wire.ReadSized(stream, 1<<10); err != nil {
			break
		}
		answered++
	}
	require.Equal(t, 32, answered)

	// One peer has so many streams.
	var refused bool
	for range 20 {
		stream, err := s.NewStream(timeout(t), n.t.Host().ID(), n.d.Protocol())
		require.NoError(t, err)
		defer stream.Reset()
		require.NoError(t, stream.SetDeadline(time.Now().Add(patience)))
		_, err = stream.Write(good)
		if err == nil {
			_, err = wire.ReadSized(stream, 1<<10)
		}
		refused = refused || err != nil
	}
	require.True(t, refused)
}

func mustMarshal(t *testing.T, m *dhtpb.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	require.NoError(t, err)

	return raw
}

// A server that answers with more than a response can be, or not at all, is not
// waited for, nor kept.
func TestBadAnswersAreNoMembers(t *testing.T) {
	n := newNode(t, spec{dht: []discovery.Option{discovery.WithMode(discovery.ModeClient)}})
	for name, answer := range map[string][]byte{
		"too long":  {0x80, 0x80, 0x80, 0x02, 0x00},
		"no answer": {},
		"nonsense":  wire.AppendSized(nil, []byte{0xff}),
	} {
		bad := newNode(t, spec{silent: true})
		asked := make(chan struct{}, 16)
		bad.t.Host().SetStreamHandler(n.d.Protocol(), func(stream network.Stream) {
			defer func() { asked <- struct{}{} }()
			_, _ = wire.ReadSized(stream, 1<<10)
			_, _ = stream.Write(answer)
			_ = stream.Close()
		})
		// It is asked once it is found to speak the protocol.
		err := bad.t.Host().Connect(timeout(t), peer.AddrInfo{
			ID: n.t.Host().ID(), Addrs: n.t.Host().Network().ListenAddresses(),
		})
		require.NoError(t, err, name)
		select {
		case <-asked:
		case <-timeout(t).Done():
			require.Fail(t, "it was not asked")
		}
	}
	await(t, "the answers are seen", func() bool { return n.d.Stats().QueriesFailed >= 3 }, n)
	require.Zero(t, n.d.Stats().Table)
	require.Zero(t, n.d.Stats().QueriesSent)
}

func TestOptionsAreChecked(t *testing.T) {
	n := newNode(t, spec{silent: true})
	for want, opt := range map[string]discovery.Option{
		"not positive": discovery.WithWalkInterval(0),
		"positive":     discovery.WithRefreshInterval(-1),
		"unknown mode": discovery.WithMode(9),
		"is nil":       discovery.WithRegisterer(nil),
	} {
		_, err := discovery.New(n.t, opt)
		require.ErrorContains(t, err, want)
	}
	_, err := discovery.New(nil)
	require.Error(t, err)
	d, err := discovery.New(n.t)
	require.NoError(t, err)
	require.EqualValues(t, "/tm2/test/kad/1.0.0", d.Protocol())
	require.ErrorContains(t, d.Start(), "no switch")
	require.Zero(t, d.Stats())

	long := newNode(t, spec{silent: true, network: strings.Repeat("/", 50)})
	_, err = discovery.New(long.t)
	require.ErrorContains(t, err, "150 bytes")
}
