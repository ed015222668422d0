package dropin

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// reportInterval is how often the log tells the stacks of the peers at most.
const reportInterval = time.Minute

// stackReport is a reactor without channels that logs which peers are native, once at first and
// then whenever that has changed, so that an operator sees how far the network has migrated.
type stackReport struct {
	compat.BaseReactor
	interval time.Duration
	links    func() []adapter.Link
	cancel   context.CancelFunc
	task     sync.WaitGroup
}

// reportStacks makes the switch of the plan report.
func (p *plan) reportStacks(o *options) {
	r := newStackReport(o.report)
	r.SetLogger(p.logger)
	p.options = append(p.options, adapter.WithReactor("stack report", r))
}

func newStackReport(interval time.Duration) *stackReport {
	r := &stackReport{interval: interval}
	r.BaseReactor = *compat.NewBaseReactor("stack report", r)

	return r
}

// SetSwitch implements compat.Reactor.
func (r *stackReport) SetSwitch(sw compat.Switch) {
	r.BaseReactor.SetSwitch(sw)
	r.links = sw.(*adapter.MultiplexSwitch).Links
}

// OnStart implements service.Service.
func (r *stackReport) OnStart() error {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.task.Go(func() { r.run(ctx) })

	return nil
}

// OnStop implements service.Service.
func (r *stackReport) OnStop() {
	r.cancel()
	r.task.Wait()
}

func (r *stackReport) run(ctx context.Context) {
	ticker := time.NewTicker(r.interval)
	defer ticker.Stop()
	var former *stackCount // nil until the first count, which is logged even if nobody is there
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if count := countStacks(r.links()); former == nil || !count.equal(*former) {
			args := []any{"native", len(count.native), "libp2p", count.libp2p, "native_peers", count.native}
			if len(count.tunneled) > 0 {
				args = append(args, "in_tunnels", count.tunneled)
			}
			r.Logger.Info("peers by stack", args...)
			former = &count
		}
	}
}

// stackCount tells which peers are native, and how many are not.
type stackCount struct {
	native   []types.ID // in order
	tunneled []string   // those of them that come by a tunnel, each with its bridge
	libp2p   int
}

func countStacks(links []adapter.Link) (count stackCount) {
	for _, link := range links {
		if link.Stack == types.StackNative {
			count.native = append(count.native, link.PeerID)
			if link.Tunnel != "" {
				count.tunneled = append(count.tunneled, string(link.PeerID)+" by "+string(link.Tunnel))
			}
		} else {
			count.libp2p++
		}
	}

	return count
}

func (c stackCount) equal(other stackCount) bool {
	return c.libp2p == other.libp2p && slices.Equal(c.native, other.native) && slices.Equal(c.tunneled, other.tunneled)
}
