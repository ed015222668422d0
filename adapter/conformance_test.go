package adapter_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestSwitchConformance(t *testing.T) { compattest.TestSwitch(t, memoryNetwork) }

// memoryNetwork makes switches on the in-memory transport.
func memoryNetwork(*testing.T) compattest.MakeSwitch {
	network := compattest.NewNetwork()
	var lastPort atomic.Uint32

	return func(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
		t.Helper()
		info, addr := spec.Info, *spec.Info.NetAddress
		if addr.Port == 0 {
			addr.Port = uint16(lastPort.Add(1))
		}
		info.NetAddress = &addr
		transport, err := network.NewTransportFor(info)
		require.NoError(t, err)
		sw := adapter.NewMultiplexSwitch(transport, options(spec)...)
		release := sync.OnceFunc(func() {
			if err := sw.Stop(); err != nil &&
				!errors.Is(err, service.ErrNotStarted) && !errors.Is(err, service.ErrAlreadyStopped) {
				t.Errorf("stop: %v", err)
			}
			if n := transport.NumPeers(); n > 0 {
				t.Errorf("the stopped switch has left %d peers with its transport", n)
			}
			if err := transport.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		t.Cleanup(release)

		return sw, transport.NetAddress(), release
	}
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
