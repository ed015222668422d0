package bridge

import (
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// asker is a connection on which discovery is spoken.
type asker struct {
	compat.PeerConn
	id   types.ID
	ip   net.IP
	full bool
	sent [][]byte
}

func (a *asker) ID() types.ID     { return a.id }
func (a *asker) RemoteIP() net.IP { return a.ip }

func (a *asker) TrySend(ch byte, msg []byte) bool {
	if ch != discoveryChannel || a.full {
		return false
	}
	a.sent = append(a.sent, msg)

	return true
}

// talk returns the libp2p side of a pair that is up, on which the asker speaks.
func talk(t *testing.T, config Config, a *asker) (*side, func(msg []byte)) {
	t.Helper()
	b, err := New(*types.GenerateNodeKey(), config, quiet())
	require.NoError(t, err)
	p := b.newPair(InitiatorNative)
	p.libp2p.peer = a
	p.libp2p.listen(TM2Channels())
	close(p.ready)

	return p.libp2p, func(msg []byte) { p.libp2p.reactors[discoveryChannel].Receive(discoveryChannel, a, msg) }
}

func newAsker(ip string) *asker {
	return &asker{id: types.GenerateNodeKey().ID(), ip: net.ParseIP(ip)}
}

func TestRequestsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker("9.9.0.1")
		_, receive := talk(t, Config{Libp2pPeers: []*types.NetAddress{dialable(1)}}, a)
		for range 100 {
			receive(wire.AppendRequest(nil))
		}
		require.Len(t, a.sent, requestBurst)
		task.Sleep(t.Context(), requestInterval)
		receive(wire.AppendRequest(nil))
		require.Len(t, a.sent, requestBurst+1)
	})
}

// Addresses of a private network are told only there.
func TestPrivateNetworksAreNotToldToStrangers(t *testing.T) {
	near := &types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(10, 0, 0, 1), Port: 1}
	far := dialable(1)
	for from, want := range map[string][]string{
		"9.9.0.1": {far.String()}, "10.0.0.2": {near.String(), far.String()}, "127.0.0.1": {far.String()},
	} {
		a := newAsker(from)
		_, receive := talk(t, Config{Libp2pPeers: []*types.NetAddress{near, far}}, a)
		receive(wire.AppendRequest(nil))
		require.Len(t, a.sent, 1)
		got, _, err := wire.DecodeDiscovery(a.sent[0])
		require.NoError(t, err)
		require.ElementsMatch(t, want, got, from)
	}
}

func TestAnswersAreTakenWhenTheyWereAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker("9.9.0.1")
		s, receive := talk(t, Config{}, a)
		learned := func() int { return len(s.pair.bridge.libp2pTargets.known()) }
		receive(wire.AppendResponse(nil, []string{dialable(1).String()}))
		require.Zero(t, learned(), "nobody has asked")

		s.ask()
		require.Equal(t, [][]byte{wire.AppendRequest(nil)}, a.sent)
		receive(wire.AppendResponse(nil, []string{dialable(2).String()}))
		receive(wire.AppendResponse(nil, []string{dialable(3).String()}))
		require.Equal(t, 1, learned(), "one answer for each question")
		require.True(t, s.pair.bridge.libp2pTargets.all(dialer{})[0].told)

		s.ask()
		task.Sleep(t.Context(), responseTimeout+1)
		receive(wire.AppendResponse(nil, []string{dialable(4).String()}))
		require.Equal(t, 1, learned(), "too late")

		a.full = true
		s.ask()
		receive(wire.AppendResponse(nil, []string{dialable(5).String()}))
		require.Equal(t, 1, learned(), "the question was not sent")
	})
}

func TestNobodyIsAskedIfNobodyIsLearned(t *testing.T) {
	a := newAsker("9.9.0.1")
	s, _ := talk(t, Config{OnlyConfigured: true}, a)
	s.ask()
	require.Empty(t, a.sent)
}

func TestInvalidAddressesAreNotLearned(t *testing.T) {
	a := newAsker("9.9.0.1")
	s, receive := talk(t, Config{}, a)
	targets := s.pair.bridge.libp2pTargets
	self, first, second := dialable(1), dialable(2), dialable(3)
	self.ID, second.IP = s.pair.bridge.key.ID(), first.IP
	near := &types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(10, 0, 0, 1), Port: 1}
	none := &types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4zero, Port: 1}
	multicast := &types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(224, 0, 0, 1), Port: 1}
	portless := dialable(4)
	portless.Port = 0

	s.ask()
	receive([]byte("nonsense"))
	receive(make([]byte, maxDiscoverySize+1))
	receive(wire.AppendResponse(nil, []string{
		"nonsense", self.String(), strings.ToUpper(string(self.ID)) + "@" + self.DialString(), near.String(),
		none.String(), multicast.String(), portless.String(),
		first.String(), second.String(),
	}))
	require.ElementsMatch(t, []types.ID{first.ID, second.ID}, targets.known())
	picked := targets.pick(the("node"), nil)
	require.NotNil(t, picked)
	require.Nil(t, targets.pick(the("node"), []*target{picked}), "an IP and port is dialed once")
}

// What a node tells is dialed only where it means the same to the bridge.
func TestTellerDecidesWhatIsDialed(t *testing.T) {
	bad := []string{
		"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.100.100.200", "198.18.0.1", "240.0.0.1",
		"64:ff9b::a00:1", "2002:a00:1::", "fec0::1",
	}
	for _, c := range []struct {
		from, own string
		want      []string
	}{
		{"9.9.0.1", "8.8.0.1", nil},
		{"9.9.0.1", "10.0.0.3", nil},
		{"127.0.0.1", "0.0.0.0", []string{"127.0.0.1"}},
		{"10.0.0.2", "10.0.0.3", []string{"10.0.0.1"}},
		{"10.0.0.2", "8.8.0.1", nil}, // behind a NAT every stranger looks private
		{"169.254.1.1", "169.254.1.2", nil},
	} {
		a := newAsker(c.from)
		s, receive := talk(t, Config{Libp2pListen: types.NetAddress{IP: net.ParseIP(c.own)}}, a)
		b := s.pair.bridge
		var texts, learned []string
		for _, ip := range bad {
			addr := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.ParseIP(ip), Port: 26656}
			texts = append(texts, addr.String())
			from := netgroup.FromIP(a.ip)
			if slices.Contains(c.want, ip) {
				require.Equal(t, addr, b.dialerAddress(types.NodeInfo{NetAddress: &addr}, from))
			} else {
				require.Equal(t, from, netgroup.FromIP(b.dialerAddress(types.NodeInfo{NetAddress: &addr}, from).IP), ip)
			}
		}
		s.ask()
		receive(wire.AppendResponse(nil, texts))
		for _, target := range b.libp2pTargets.all(dialer{}) {
			learned = append(learned, target.addr.IP.String())
		}
		require.Equal(t, c.want, learned, "%+v", c)
	}
}

// A libp2p node does not learn at what addresses the bridge looks for native ones.
func TestRefusalsNameNoAddresses(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	secret := errors.New("dial with g1secret@10.0.0.1:26656: refused")
	for _, c := range []struct {
		err  error
		code compat.RejectCode
	}{
		{errors.Join(errNoCounterpart, secret), compat.RejectUnavailable},
		{newMissed([]error{secret}, secret), compat.RejectUnavailable},
		{errNoTargets, compat.RejectUnavailable},
		{errReplaced, compat.RejectDuplicate},
		{errors.Join(errFormer, secret), compat.RejectDuplicate},
	} {
		refusal := b.refusal(c.err)
		require.Equal(t, c.code, refusal.Code)
		require.NotContains(t, refusal.Error(), "10.0.0.1")
	}
	b.cancel()
	require.Equal(t, compat.RejectClosing, b.refusal(errNoCounterpart).Code)
}

// One of the libp2p nodes is asked from time to time.
func TestTheBridgeKeepsAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsker("9.9.0.1")
		s, _ := talk(t, Config{}, a)
		b := s.pair.bridge
		b.slots.held[s.pair.claim] = &slot{pairs: []*pair{s.pair}}
		b.wg.Go(b.askLoop)
		task.Sleep(t.Context(), 3*askInterval+time.Second)
		b.cancel()
		b.wg.Wait()
		require.Len(t, a.sent, 3)
	})
}
