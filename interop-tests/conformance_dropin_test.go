package interoptests

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	gnoevents "github.com/gnolang/gno/tm2/pkg/p2p/events"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
)

// The suites use the drop-in through gno's types, as a gno reactor does. Every call is
// converted twice. The dual switch stands for libp2p, and adapter/lp2p runs the suite over
// QUIC, so that the drop-in on libp2p alone has its turn at full size.

func TestNativeDropinConforms(t *testing.T) {
	besideOthers(t)
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch {
		return makeDropin(newNativeDropin, asTheyAre)
	}, dropinExemptions()...)
}

func TestLibp2pDropinConforms(t *testing.T) {
	atFullSize(t)
	besideOthers(t)
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch {
		return makeDropin(newLibp2pDropin(), asTheyAre)
	}, dropinExemptions()...)
}

func TestLibp2pDropinOverQUICConforms(t *testing.T) {
	atFullSize(t)
	besideOthers(t)
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch {
		return makeDropin(newLibp2pDropin(lp2p.WithQUICOnly()), asTheyAre)
	}, dropinExemptions()...)
}

func TestDualDropinConforms(t *testing.T) {
	besideOthers(t)
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch {
		return makeDropin(newDualDropin, asTheyAre)
	}, append(dropinExemptions(), shownByNative()...)...)
}

// TestDropinWithPeersOfAReactorConforms runs the suite with a gno reactor whose InitPeer wraps
// each peer. All reactors must get the wrapper.
func TestDropinWithPeersOfAReactorConforms(t *testing.T) {
	besideOthers(t)
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch {
		return makeDropin(newNativeDropin, func(r p2p.Reactor) p2p.Reactor { return wrapping{r} })
	}, append(dropinExemptions(), shownByNative()...)...)
}

// TestGnoSwitchOnLibp2pConforms runs the suite with gno's own switch on our transport.
func TestGnoSwitchOnLibp2pConforms(t *testing.T) {
	besideOthers(t)
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch {
		return newGnoSwitchOnLibp2p
	}, gnoSwitchOnLibp2pExemptions()...)
}

// TestLibp2pRoundTripConforms checks that a transport converted to gno's type and back keeps
// its promises. TestGnoSwitchOnLibp2pConforms converts it one way, TestSwitchOnGnoTransportConforms
// the other.
func TestLibp2pRoundTripConforms(t *testing.T) {
	atFullSize(t)
	besideOthers(t)
	compattest.TestTransport(t, func(t *testing.T, a, b compattest.Spec) (compat.Transport, compat.Transport) {
		t.Helper()

		return newThereAndBack(t, a), newThereAndBack(t, b)
	}, thereAndBackExemptions()...)
}

// asTheyAre hides the suite's reactors behind a gno reactor. Otherwise the drop-in would
// convert them back and not call them through gno's types.
func asTheyAre(r p2p.Reactor) p2p.Reactor { return ofGno{r} }

type ofGno struct{ p2p.Reactor }

// wrapping is a reactor that wraps each peer.
type wrapping struct{ p2p.Reactor }

const keyWrapped = "interop/wrapped"

func (w wrapping) InitPeer(peer p2p.PeerConn) p2p.PeerConn {
	if peer.Get(keyWrapped) == nil {
		peer.Set(keyWrapped, true)
		peer = &peerOfAReactor{peer}
	}

	return w.Reactor.InitPeer(peer)
}

type peerOfAReactor struct{ p2p.PeerConn }

// newDropin makes a switch of the drop-in.
type newDropin func(compattest.SwitchSpec, *gnoconfig.P2PConfig, map[string]p2p.Reactor) (*dropin.Switch, error)

func newNativeDropin(
	spec compattest.SwitchSpec, cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor,
) (*dropin.Switch, error) {
	key, err := dropin.NodeKey(spec.Key)
	if err != nil {
		return nil, err
	}

	return dropin.NewNativeSwitch(dropin.NodeInfo(spec.Info), key, cfg, reactors, nil, switchOptions(spec)...)
}

func newLibp2pDropin(opts ...lp2p.Option) newDropin {
	return func(
		spec compattest.SwitchSpec, cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor,
	) (*dropin.Switch, error) {
		key, err := dropin.NodeKey(spec.Key)
		if err != nil {
			return nil, err
		}

		return dropin.NewLibp2pSwitch(
			dropin.NodeInfo(spec.Info), key, cfg, reactors, nil,
			dropin.WithLibp2pOptions(slices.Concat(opts, []lp2p.Option{patientTimeouts()})...), dropin.WithSwitchOptions(switchOptions(spec)...))
	}
}

func newDualDropin(
	spec compattest.SwitchSpec, cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor,
) (*dropin.Switch, error) {
	key, err := dropin.NodeKey(spec.Key)
	if err != nil {
		return nil, err
	}

	return dropin.NewDualSwitch(
		dropin.NodeInfo(spec.Info), key, cfg, reactors, nil,
		dropin.WithLibp2pOptions(patientTimeouts()), dropin.WithSwitchOptions(switchOptions(spec)...))
}

// switchOptions are for what the spec asks and gno's config has no key for.
func switchOptions(spec compattest.SwitchSpec) (opts []adapter.SwitchOption) {
	if spec.SeedUptime > 0 {
		opts = append(opts, adapter.WithSeedMode(spec.SeedUptime))
	}

	return opts
}

// patientTimeouts are for dials, handshakes and flushes that have to succeed on a busy machine.
func patientTimeouts() lp2p.Option {
	timeouts := lp2p.DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake, timeouts.Flush = dialPatience, dialPatience, dialPatience

	return lp2p.WithTimeouts(timeouts)
}

// makeDropin implements compattest.MakeSwitch with a switch of the drop-in, which gets the
// suite's reactors as gno reactors.
func makeDropin(newSwitch newDropin, reactor func(p2p.Reactor) p2p.Reactor) compattest.MakeSwitch {
	return func(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
		t.Helper()
		reactors := map[string]p2p.Reactor{}
		for i, r := range spec.Reactors {
			// The drop-in orders reactors by name.
			reactors[fmt.Sprintf("%02d-%s", i, r.Name)] = reactor(dropin.Reactor(r.Reactor))
		}
		dropped, err := newSwitch(spec, dropinConfig(spec), reactors)
		require.NoError(t, err)
		require.NoError(t, dropped.Listen())
		addr := dropped.NetAddress()
		sw := dropinSwitch{
			gnoSwitch:      gnoSwitch{Switch: dropin.FromSwitch(dropped), Service: dropin.FromService(dropped)},
			PeerController: dropped.MultiplexSwitch(),
			dropped:        dropped,
		}
		release := func() { require.NoError(t, dropped.Close()) }
		t.Cleanup(release)

		return sw, *dropin.FromNetAddress(&addr), release
	}
}

// dropinSwitch also reports the events that gno does not have, and configures peers while it
// runs.
type dropinSwitch struct {
	gnoSwitch
	compat.PeerController
	dropped *dropin.Switch
}

// Subscribe implements compat.Switch. Both filters are called synchronously.
func (s dropinSwitch) Subscribe(filter events.EventFilter) (<-chan events.Event, func()) {
	all := events.New()
	ch, unsubscribe := all.Subscribe(filter)
	_, stopGno := s.dropped.Subscribe(func(e gnoevents.Event) bool {
		all.Notify(dropin.FromEvent(e))

		return false
	})
	_, stopOthers := s.dropped.MultiplexSwitch().Subscribe(func(e events.Event) bool {
		if dropin.Event(e) == nil {
			all.Notify(e)
		}

		return false
	})

	return ch, func() {
		stopGno()
		stopOthers()
		unsubscribe()
	}
}

// dropinConfig converts a spec to the section [p2p] of gno's config.
func dropinConfig(spec compattest.SwitchSpec) *gnoconfig.P2PConfig {
	cfg := gnoconfig.DefaultP2PConfig()
	cfg.ListenAddress = "tcp://" + spec.Info.NetAddress.DialString()
	cfg.PersistentPeers = joined(spec.PersistentPeers)
	cfg.PrivatePeerIDs = joined(spec.PrivatePeers)
	cfg.MaxNumInboundPeers = spec.MaxInboundPeers
	cfg.MaxNumOutboundPeers = spec.MaxOutboundPeers
	cfg.AllowDuplicateIP = spec.AllowDuplicateIP

	return cfg
}

func joined[T fmt.Stringer](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = v.String()
	}

	return strings.Join(texts, ",")
}

// newGnoSwitchOnLibp2p implements compattest.MakeSwitch with gno's switch on our transport.
func newGnoSwitchOnLibp2p(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
	t.Helper()
	tr := listenLibp2p(t, spec.Spec)
	opts := []p2p.SwitchOption{
		p2p.WithPersistentPeers(dropin.NetAddresses(spec.PersistentPeers)),
		p2p.WithPrivatePeers(dropin.IDs(spec.PrivatePeers)),
		p2p.WithMaxInboundPeers(spec.MaxInboundPeers),
		p2p.WithMaxOutboundPeers(spec.MaxOutboundPeers),
		p2p.WithAllowDuplicateIP(spec.AllowDuplicateIP),
	}
	sw := gnoSwitchOn(patientDials{dropin.Transport(tr)}, opts, spec.Reactors)

	return sw, tr.NetAddress(), releaseOf(t, sw, func(t *testing.T) { require.NoError(t, tr.Close()) })
}

func listenLibp2p(t *testing.T, spec compattest.Spec) *lp2p.Transport {
	t.Helper()
	tr, err := lp2p.NewTransport(spec.Info, spec.Key, nil, patientTimeouts())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(*spec.Info.NetAddress))

	return tr
}

// thereAndBack is our transport converted to gno's type and back, with the original Close.
type thereAndBack struct {
	compat.Transport
	ours *lp2p.Transport
}

// Close implements io.Closer.
func (t thereAndBack) Close() error { return t.ours.Close() }

func newThereAndBack(t *testing.T, spec compattest.Spec) thereAndBack {
	t.Helper()
	tr := listenLibp2p(t, spec)

	return thereAndBack{Transport: dropin.FromTransport(dropin.Transport(tr)), ours: tr}
}

// dropinExemptions are the promises that gno's types cannot express.
func dropinExemptions() []compattest.Exemption {
	return []compattest.Exemption{
		{Promise: "Events/Direction", Why: "gno's events do not tell who has dialed (events/types.go)"},
	}
}

// shownByNative are the promises whose proof is long and the same for every switch of ours. Only at
// full size do all of them show it.
func shownByNative() []compattest.Exemption {
	if full() {
		return nil
	}

	return []compattest.Exemption{
		{Promise: "Events/LossyWithBufferOf100", Why: "TestNativeDropinConforms shows it of the same code; others do with INTEROP_FULL=1"},
	}
}

// gnoSwitchOnLibp2pExemptions are the exemptions of gno's switch that depend on the switch
// alone, fewer than on gno's transport.
func gnoSwitchOnLibp2pExemptions() []compattest.Exemption {
	const late = "RemovePeer does not wait for a Receive that runs (switch.go, stopAndRemovePeer)"
	var left []compattest.Exemption
	for _, e := range gnoSwitchExemptions() {
		switch e.Promise {
		case "Receive/NeverEmpty", "Dial/WrongID": // the transport's
			continue
		case "Receive/NoneAfterRemovePeer", "Shutdown/NothingFollows":
			e.Why = late
		}
		left = append(left, e)
	}

	return left
}

// thereAndBackExemptions are the promises that gno's types cannot express or gno's switch does
// not allow.
func thereAndBackExemptions() []compattest.Exemption {
	return []compattest.Exemption{
		{Promise: "Admission/Acceptor", Why: "a PeerBehavior of gno has no say in who comes in (types.go)"},
		{Promise: "Remove/Started", Why: "gno removes a peer before it stops it, so Remove waits for Stop (switch.go, stopAndRemovePeer)"},
	}
}
