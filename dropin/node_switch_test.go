package dropin

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strings"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"
	gnoevents "github.com/gnolang/gno/tm2/pkg/p2p/events"
	gnoservice "github.com/gnolang/gno/tm2/pkg/service"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// onEachStack runs a test on each switch.
func onEachStack(t *testing.T, test func(t *testing.T, s stack)) {
	t.Helper()
	for _, s := range stacks() {
		t.Run(s.name, func(t *testing.T) { test(t, s) })
	}
}

func TestReactorsOfGno(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		a, b := newGnoRecorder("recorder", testChannel), newGnoRecorder("recorder", testChannel)
		b.wrap = func(p p2p.PeerConn) p2p.PeerConn { return &gnoWrapped{p} }
		swB := newSwitchWith(t, s, loopbackConfig(), map[string]p2p.Reactor{"R": b})
		swA := newSwitchWith(t, s, loopbackConfig(swB.NetAddress()), map[string]p2p.Reactor{"R": a})
		told, unsubscribe := swA.Subscribe(nil)
		defer unsubscribe()
		require.NoError(t, swB.Start())
		require.NoError(t, swA.Start())

		atA, atB := await(t, a.added), await(t, b.added)
		require.IsType(t, &gnoWrapped{}, atB, "what InitPeer has returned is the peer")
		require.True(t, atA.IsOutbound())
		require.True(t, atA.IsPersistent())
		require.Same(t, atA, swA.Peers().Get(atA.ID()))
		require.Equal(t, []p2p.PeerConn{atA}, swA.Peers().List())
		require.Same(t, atB, swB.Peers().Get(atB.ID()))
		require.EqualValues(t, 1, swA.Peers().NumOutbound())
		require.EqualValues(t, 1, swB.Peers().NumInbound())
		require.Equal(t, gnoevents.PeerConnectedEvent{PeerID: atA.ID(), Address: atA.RemoteAddr()}, await(t, told))

		a.Switch.Broadcast(testChannel, []byte("to all"))
		require.Equal(t, gnoDelivery{atB, "to all"}, await(t, b.received))
		require.True(t, atB.Send(testChannel, []byte("back")))
		require.Equal(t, gnoDelivery{atA, "back"}, await(t, a.received))
		require.True(t, atA.TrySend(testChannel, []byte("once more")))
		require.Equal(t, gnoDelivery{atB, "once more"}, await(t, b.received))

		reason := errors.New("enough")
		b.Switch.StopPeerForError(atB, reason)
		require.Same(t, atB, await(t, b.removed))
		require.Same(t, atA, await(t, a.removed))
		require.Equal(t, gnoevents.PeerDisconnected, await(t, told).Type())
		require.ErrorIs(t, atB.Stop(), gnoservice.ErrAlreadyStopped)
		require.NotSame(t, atA, await(t, a.added), "a new connection has a new peer")
	})
}

// decorated is a wrapper of a peer that no InitPeer has returned.
type decorated struct{ p2p.PeerConn }

// TestStopPeerBehindAWrapper stops a peer by wrappers of it, returned by InitPeer or not.
func TestStopPeerBehindAWrapper(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		for _, wrap := range []func(p2p.PeerConn) p2p.PeerConn{
			func(p p2p.PeerConn) p2p.PeerConn { return p },
			func(p p2p.PeerConn) p2p.PeerConn { return &gnoWrapped{p} },
		} {
			a, b := newGnoRecorder("recorder", testChannel), newGnoRecorder("recorder", testChannel)
			a.wrap = wrap
			swB := newSwitchWith(t, s, loopbackConfig(), map[string]p2p.Reactor{"R": b})
			swA := newSwitchWith(t, s, loopbackConfig(swB.NetAddress()), map[string]p2p.Reactor{"R": a})
			require.NoError(t, swB.Start())
			require.NoError(t, swA.Start())
			peer := await(t, a.added)
			others := peer.Get(keyFrom)
			swA.StopPeerForError(&decorated{peer}, errors.New("bad"))
			require.Same(t, peer, await(t, a.removed))
			require.Equal(t, others, peer.Get(keyFrom), "no counterpart is made for each call")

			again := await(t, a.added)
			swA.StopPeerForError(&decorated{peer}, errors.New("of the former connection"))
			require.True(t, again.IsRunning())
			require.NoError(t, swA.Close())
			require.NoError(t, swB.Close())
		}
	})
}

func TestNilIsSafe(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		r := newGnoRecorder("recorder", testChannel)
		sw := newSwitchWith(t, s, loopbackConfig(), map[string]p2p.Reactor{"R": r})
		require.NoError(t, sw.Start())
		for _, of := range []p2p.Switch{sw, r.Switch} {
			of.Broadcast(testChannel, nil)
			of.StopPeerForError(nil, errors.New("nobody"))
			of.DialPeers(nil, nil)
			of.DialPeers()
			require.True(t, of.Peers().Get("g1nobody") == nil)
			require.False(t, of.Peers().Remove("g1nobody"))
		}
	})
}

func TestReactorsAreOrderedByName(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		var (
			log      steps
			reactors = map[string]p2p.Reactor{}
		)
		for i, name := range []string{"C", "A", "D", "B"} {
			r := newGnoRecorder(name, byte(0x30+i))
			r.log = &log
			reactors[name] = r
		}
		sw := newSwitchWith(t, s, loopbackConfig(), reactors)
		require.NoError(t, sw.Start())
		require.NoError(t, sw.Stop())
		require.Equal(t, []string{
			"start A", "start B", "start C", "start D", "stop D", "stop C", "stop B", "stop A",
		}, log.list)
	})
}

func TestListen(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		sw, err := s.make(t, loopbackConfig(), nil)
		require.NoError(t, err)
		before := sw.NetAddress()
		require.Equal(t, "127.0.0.1:0", before.DialString(), "it has no port yet")
		require.NotEmpty(t, before.ID)
		require.NoError(t, sw.Listen())
		require.NoError(t, sw.Listen())
		addr := sw.NetAddress()
		require.Equal(t, before.ID, addr.ID)
		requireDialed(t, addr.DialString())
		require.NoError(t, sw.Close())

		cfg := loopbackConfig()
		cfg.ListenAddress = freeAddress(t)
		sw = newSwitchWith(t, s, cfg, nil)
		addr = sw.NetAddress()
		second, err := s.make(t, cfg, nil)
		require.NoError(t, err, "a switch holds no port before it listens")
		require.ErrorContains(t, second.Listen(), addr.DialString(), "the port is taken")
		require.ErrorContains(t, second.Start(), addr.DialString())
		require.False(t, second.IsRunning())
		require.NoError(t, sw.Close())
		require.NoError(t, second.Start(), "Close has freed the port")
		require.Equal(t, addr.Port, second.NetAddress().Port)
		requireDialed(t, addr.DialString())
		require.NoError(t, second.Close())
		require.NoError(t, second.Listen(), "it has, once")
	})
}

// freeAddress returns a loopback address that nobody takes while a node that listens there is down.
func freeAddress(t *testing.T) string {
	t.Helper()

	return fmt.Sprintf("127.0.0.1:%d", stacktest.FreePortAt(t, net.IPv4(127, 0, 0, 1)))
}

// requireDialed checks that the address accepts a connection.
func requireDialed(t *testing.T, addr string) {
	t.Helper()
	dialed, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	require.NoError(t, dialed.Close())
}

func TestLifecycle(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		never, err := s.make(t, loopbackConfig(), nil)
		require.NoError(t, err)
		require.ErrorIs(t, never.Stop(), gnoservice.ErrNotStarted)
		require.ErrorIs(t, never.Reset(), gnoservice.ErrNotStarted)
		require.NoError(t, never.Close())
		require.NoError(t, never.Close())
		require.ErrorIs(t, never.Start(), gnoservice.ErrAlreadyStopped)

		sw := newSwitchWith(t, s, loopbackConfig(), nil)
		require.Contains(t, sw.String(), s.name)
		require.NoError(t, sw.Start())
		require.True(t, sw.IsRunning())
		require.ErrorIs(t, sw.Start(), gnoservice.ErrAlreadyStarted)
		require.NoError(t, sw.Stop())
		<-sw.Quit()
		require.False(t, sw.IsRunning())
		require.ErrorIs(t, sw.Stop(), gnoservice.ErrAlreadyStopped)
		require.ErrorIs(t, sw.Start(), gnoservice.ErrAlreadyStopped)
		require.Error(t, sw.Reset())
		require.NoError(t, sw.Close())
		addr := sw.NetAddress()
		_, err = net.Dial("tcp", addr.DialString())
		require.Error(t, err, "Stop has closed the transport")
	})
}

// badStart is a reactor whose first start fails.
type badStart struct {
	*gnoRecorder
	err error
}

func (b *badStart) Start() error { return b.err }

func TestReactorThatDoesNotStart(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		bad := &badStart{newGnoRecorder("bad", testChannel), errors.New("not today")}
		sw := newSwitchWith(t, s, loopbackConfig(), map[string]p2p.Reactor{"R": bad})
		require.ErrorIs(t, sw.Start(), bad.err)
		require.False(t, sw.IsRunning())
		bad.err = nil
		require.NoError(t, sw.Start(), "it still listens")
	})
}

func TestInvalidReactors(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		for _, reactors := range []map[string]p2p.Reactor{
			{"R": nil},
			{"R": noDescriptor{newGnoRecorder("r", testChannel)}},
			{"A": newGnoRecorder("a", testChannel), "B": newGnoRecorder("b", testChannel)},
		} {
			sw := newSwitchWith(t, s, loopbackConfig(), reactors)
			require.ErrorIs(t, sw.Start(), adapter.ErrInvalidReactor)
		}
	})
}

func TestConfigErrors(t *testing.T) {
	onEachStack(t, func(t *testing.T, s stack) {
		_, err := s.make(t, nil, nil)
		require.ErrorIs(t, err, errNoConfig)

		cfg := loopbackConfig()
		cfg.ListenAddress = "tcp://127.0.0.1"
		_, err = s.make(t, cfg, nil)
		var field *config.FieldError
		require.ErrorAs(t, err, &field)
		require.Equal(t, "[p2p].laddr", field.Key)

		cfg = loopbackConfig()
		cfg.SendRate = -1
		_, err = s.make(t, cfg, nil)
		require.ErrorAs(t, err, &field)
		require.Equal(t, "[p2p].send_rate", field.Key)

		cfg = loopbackConfig()
		cfg.PersistentPeers, cfg.PrivatePeerIDs = "nonsense", "nonsense"
		newSwitchWith(t, s, cfg, nil) // an invalid entry is ignored
	})
}

func TestKeyAndNodeInfoMustAgree(t *testing.T) {
	key, _ := newIdentity(testChannel)
	_, info := newIdentity(testChannel)
	_, err := NewNativeSwitch(info, key, loopbackConfig(), nil, nil)
	require.ErrorIs(t, err, errOtherID)
	_, err = NewLibp2pSwitch(info, key, loopbackConfig(), nil, nil)
	require.ErrorIs(t, err, errOtherID)
}

func TestAdvertisedAddress(t *testing.T) {
	key, info := newIdentity(testChannel)
	id := key.ID()
	for _, c := range []struct {
		external, own string
		want          string
	}{
		{"tcp://192.0.2.7:1234", "127.0.0.1:0", "192.0.2.7:1234"},
		{"", "192.0.2.8:4321", "192.0.2.8:4321"},
		{"", "0.0.0.0:4321", "127.0.0.1:4321"}, // that of the listener
		{"", "", "127.0.0.1:0"},                // the listener's port is filled in
	} {
		cfg := loopbackConfig()
		cfg.ExternalAddress = c.external
		node := info
		node.NetAddress = nil
		if c.own != "" {
			addr, err := types.ParseNetAddress(fmt.Sprintf("%s@%s", id, c.own))
			require.NoError(t, err)
			node.NetAddress = NetAddress(addr)
		}
		p, err := newNodePlan(node, key, cfg, nil, nil)
		require.NoError(t, err)
		require.Equal(t, c.want, p.info.NetAddress.DialString())
		require.EqualValues(t, id, p.info.NetAddress.ID)
	}
}

func TestOptionsOverrideTheConfig(t *testing.T) {
	cfg := loopbackConfig()
	cfg.MaxNumInboundPeers = 40
	onEachStack(t, func(t *testing.T, s stack) {
		b := newGnoRecorder("recorder", testChannel)
		full := newPatientSwitch(t, s, cfg, map[string]p2p.Reactor{"R": b},
			WithSwitchOptions(adapter.WithMaxInboundPeers(0)))
		rejected, unsubscribe := full.MultiplexSwitch().Subscribe(nil)
		defer unsubscribe()
		require.NoError(t, full.Start())
		a := newGnoRecorder("recorder", testChannel)
		sw := newPatientSwitch(t, s, loopbackConfig(full.NetAddress()), map[string]p2p.Reactor{"R": a})
		failed, unsubscribeFailed := sw.MultiplexSwitch().Subscribe(nil)
		defer unsubscribeFailed()
		require.NoError(t, sw.Start())
		await(t, failed)
		if s.name != "native" { // native refuses unknown peers
			require.IsType(t, events.PeerRejectedEvent{}, await(t, rejected))
		}
		require.NoError(t, full.Stop())
		require.Empty(t, b.added)
	})
}

func TestLibp2pOptions(t *testing.T) {
	key, info := newIdentity(testChannel)
	_, err := NewLibp2pSwitch(info, key, loopbackConfig(), nil, nil, WithLibp2pOptions(lp2p.WithLimits(lp2p.Limits{})))
	require.ErrorContains(t, err, "Handshakes")

	sw, err := NewLibp2pSwitch(info, key, loopbackConfig(), nil, nil, WithLibp2pOptions(lp2p.WithQUIC()))
	require.NoError(t, err)
	require.NoError(t, sw.Listen())
	addr := sw.NetAddress()
	_, err = net.ListenPacket("udp", addr.DialString())
	require.Error(t, err, "QUIC has the port")
	require.NoError(t, sw.Close())
}

// The libp2p stack has room for the peers that the switch lets in beside its slots.
func TestPeersWithoutASlotHaveRoom(t *testing.T) {
	cfg := FromP2PConfig(*loopbackConfig())
	cfg.MaxNumInboundPeers, cfg.MaxNumOutboundPeers = 40, 10
	cfg.PersistentPeers, cfg.UnconditionalPeerIDs = "g1a@host:1,g1b@host:1", "g1c, g1d,g1e,"
	in, out := mostPeers(cfg)
	require.EqualValues(t, 45, in)
	require.EqualValues(t, 15, out)
}

func TestPeerLimitsDoNotOverflow(t *testing.T) {
	require.EqualValues(t, 12, addUpTo(10, 2))
	require.EqualValues(t, uint64(math.MaxUint64), addUpTo(math.MaxUint64, 2))
	cfg := loopbackConfig()
	cfg.MaxNumInboundPeers, cfg.MaxNumOutboundPeers = math.MaxUint64, math.MaxUint64
	newSwitchWith(t, stacks()[1], cfg, nil)
}

func TestDiscoveryWarning(t *testing.T) {
	for _, c := range []struct {
		pex     bool
		channel byte
		warned  bool
	}{{true, testChannel, true}, {true, channelDiscovery, false}, {false, testChannel, false}} {
		var logged strings.Builder
		key, info := newIdentity(testChannel)
		cfg := loopbackConfig()
		cfg.PeerExchange = c.pex
		reactors := map[string]p2p.Reactor{"R": newGnoRecorder("r", c.channel), "nil": nil}
		p, err := newNodePlan(info, key, cfg, reactors, slog.New(slog.NewTextHandler(&logged, nil)))
		require.NoError(t, err)
		p.warnOfDiscovery()
		require.Equal(t, c.warned, strings.Contains(logged.String(), "level=WARN"))
	}
}

// noDescriptor is a reactor with a nil channel descriptor.
type noDescriptor struct{ *gnoRecorder }

func (noDescriptor) GetChannels() []*conn.ChannelDescriptor { return []*conn.ChannelDescriptor{nil} }
