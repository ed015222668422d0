package interoptests

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
)

// gnoSwitch is gno's own switch on gno's own transport.
type gnoSwitch struct {
	compat.Switch
	service.Service
}

var _ compattest.SwitchNode = gnoSwitch{}

// newGnoSwitch implements compattest.MakeSwitch.
func newGnoSwitch(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
	t.Helper()
	tr := newGnoTransport(t, spec.Spec)
	opts := []p2p.SwitchOption{
		p2p.WithPersistentPeers(dropin.NetAddresses(spec.PersistentPeers)),
		p2p.WithPrivatePeers(dropin.IDs(spec.PrivatePeers)),
		p2p.WithMaxInboundPeers(spec.MaxInboundPeers),
		p2p.WithMaxOutboundPeers(spec.MaxOutboundPeers),
		p2p.WithAllowDuplicateIP(spec.AllowDuplicateIP),
	}
	sw := gnoSwitchOn(patientDials{tr.gno}, opts, spec.Reactors)

	return sw, tr.NetAddress(), releaseOf(t, sw, tr.finish)
}

// gnoSwitchOn returns gno's switch on the transport, with the reactors.
func gnoSwitchOn(tr p2p.Transport, opts []p2p.SwitchOption, reactors []compattest.NamedReactor) gnoSwitch {
	peers := &atomic.Int64{}
	for _, r := range reactors {
		opts = append(opts, p2p.WithReactor(r.Name, dropin.Reactor(countedReactor{r.Reactor, peers})))
	}
	gno := p2p.NewMultiplexSwitch(tr, opts...)
	gno.SetLogger(slog.New(slog.DiscardHandler))

	sw := dropin.FromSwitch(gno)

	return gnoSwitch{Switch: sw, Service: awaitingRemovals{dropin.FromService(gno), peers, sw}}
}

// newSwitchOnGno implements compattest.MakeSwitch with our switch on gno's transport.
func newSwitchOnGno(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
	t.Helper()
	tr := newGnoTransport(t, spec.Spec)
	opts := []adapter.SwitchOption{
		adapter.WithPersistentPeers(spec.PersistentPeers),
		adapter.WithPrivatePeers(spec.PrivatePeers),
		adapter.WithMaxInboundPeers(spec.MaxInboundPeers),
		adapter.WithMaxOutboundPeers(spec.MaxOutboundPeers),
		adapter.WithAllowDuplicateIP(spec.AllowDuplicateIP),
	}
	for _, r := range spec.Reactors {
		opts = append(opts, adapter.WithReactor(r.Name, r.Reactor))
	}
	if spec.SeedUptime > 0 {
		opts = append(opts, adapter.WithSeedMode(spec.SeedUptime))
	}
	sw := adapter.NewMultiplexSwitch(tr, opts...)

	return sw, tr.NetAddress(), releaseOf(t, sw, tr.finish)
}

// releaseOf returns a function that stops the switch and then finishes its transport. The
// function is also called at the end of the test.
func releaseOf(t *testing.T, sw service.Service, finish func(*testing.T)) func() {
	t.Helper()
	var once sync.Once // a sync.OnceFunc turns the end of the test by require into a panic
	release := func() {
		once.Do(func() {
			err := sw.Stop()
			if !errors.Is(err, service.ErrNotStarted) && !errors.Is(err, service.ErrAlreadyStopped) {
				require.NoError(t, err)
			}
			finish(t)
		})
	}
	t.Cleanup(release)

	return release
}
