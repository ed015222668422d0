package switchtest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/leeway"
)

// Transport is a transport of a stack. It listens already.
type Transport interface {
	compat.Transport

	// Close is called once, after the switch has stopped; its error fails the test.
	Close() error
}

// Unsuspecting lets no connection be probed when its peer dials again: on a busy machine, where one of
// two crossed dials may be late by seconds, a probe may come too late as well. The suite of the switch
// crosses dials at defaults.
func Unsuspecting() adapter.SwitchOption { return leeway.GhostAge(time.Hour).(adapter.SwitchOption) }

// New returns what a compattest.MakeSwitch does: a switch with the settings of the
// spec, and more options, on the transport, which it owns from here on.
func New(
	t *testing.T, spec compattest.SwitchSpec, transport Transport, more ...adapter.SwitchOption,
) (compattest.SwitchNode, types.NetAddress, func()) {
	t.Helper()
	opts := []adapter.SwitchOption{
		adapter.WithPersistentPeers(spec.PersistentPeers),
		adapter.WithPrivatePeers(spec.PrivatePeers),
		adapter.WithMaxInboundPeers(spec.MaxInboundPeers),
		adapter.WithMaxOutboundPeers(spec.MaxOutboundPeers),
		adapter.WithAllowDuplicateIP(spec.AllowDuplicateIP),
	}
	opts = append(opts, more...)
	for _, r := range spec.Reactors {
		opts = append(opts, adapter.WithReactor(r.Name, r.Reactor))
	}
	if spec.SeedUptime > 0 {
		opts = append(opts, adapter.WithSeedMode(spec.SeedUptime))
	}
	if spec.DialTimeout > 0 {
		opts = append(opts, adapter.WithDialTimeout(spec.DialTimeout))
	}
	used := compat.Transport(transport)
	if spec.WrapTransport != nil {
		used = spec.WrapTransport(transport)
	}
	sw := adapter.NewMultiplexSwitch(used, opts...)
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
