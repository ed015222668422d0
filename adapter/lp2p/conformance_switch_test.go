package lp2p_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestSwitchConformance(t *testing.T) {
	compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch { return makeSwitch() })
}

// makeSwitch makes switches on libp2p sessions.
func makeSwitch(opts ...lp2p.Option) compattest.MakeSwitch {
	return func(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
		t.Helper()

		return newSwitch(t, spec, opts...)
	}
}

func newSwitch(
	t *testing.T, spec compattest.SwitchSpec, opts ...lp2p.Option,
) (compattest.SwitchNode, types.NetAddress, func()) {
	t.Helper()
	transport, err := lp2p.NewTransport(spec.Info, spec.Key, nil, opts...)
	require.NoError(t, err)
	require.NoError(t, transport.Listen(*spec.Info.NetAddress))
	sw := adapter.NewMultiplexSwitch(transport, options(spec)...)
	release := sync.OnceFunc(func() {
		if err := sw.Stop(); err != nil &&
			!errors.Is(err, service.ErrNotStarted) && !errors.Is(err, service.ErrAlreadyStopped) {
			t.Errorf("stop: %v", err)
		}
		if err := transport.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(release)

	return sw, transport.NetAddress(), release
}

func options(spec compattest.SwitchSpec) []adapter.SwitchOption {
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

	return opts
}
