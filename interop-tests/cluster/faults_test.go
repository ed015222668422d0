package cluster

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	cnscfg "github.com/gnolang/gno/tm2/pkg/bft/consensus/config"
	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/proxy"
)

const (
	minDelay, maxDelay = 20 * time.Millisecond, 200 * time.Millisecond
	// recovery is how long a chain may stand still after a fault has ended. It is checked at
	// full size.
	recovery = 10 * time.Second

	// The sizes of the faults for every change.
	cuts          = 3
	delayedBlocks = 4

	// The sizes of the faults at full size.
	cutEvery, cutFor = 3 * time.Second, time.Minute
	delayedFor       = time.Minute
	longPause        = 10 * time.Second
)

// bridgedPair returns a topology of two gno and two libp2p validators with a bridge.
func bridgedPair() Topology {
	return Topology{Validators: []Stack{Gno(), Gno(), Libp2p(), Libp2p()}, OwnLinks: true, Bridge: true}
}

func TestClusterFaultsCutNative(t *testing.T)     { atFullSize(t); runCuts(t, Of(Native(), 4)) }
func TestClusterFaultsCutLibp2p(t *testing.T)     { atFullSize(t); runCuts(t, Of(Libp2p(), 4)) }
func TestClusterFaultsCutLibp2pQUIC(t *testing.T) { runCuts(t, Of(Libp2pQUIC(), 4)) }
func TestClusterFaultsCutBridged(t *testing.T)    { runCuts(t, bridgedPair()) }

func TestClusterFaultsDelayNative(t *testing.T)     { atFullSize(t); runDelay(t, Of(Native(), 4)) }
func TestClusterFaultsDelayLibp2p(t *testing.T)     { atFullSize(t); runDelay(t, Of(Libp2p(), 4)) }
func TestClusterFaultsDelayLibp2pQUIC(t *testing.T) { atFullSize(t); runDelay(t, Of(Libp2pQUIC(), 4)) }
func TestClusterFaultsDelayBridged(t *testing.T)    { runDelay(t, bridgedPair()) }

func TestClusterFaultsPauseNative(t *testing.T) { runPause(t, Of(Native(), 3), Native()) }
func TestClusterFaultsPauseLibp2p(t *testing.T) {
	atFullSize(t)
	runPause(t, Of(Libp2p(), 3), Libp2p())
}

func TestClusterFaultsPauseLibp2pQUIC(t *testing.T) {
	atFullSize(t)
	runPause(t, Of(Libp2pQUIC(), 3), Libp2pQUIC())
}

func TestClusterFaultsPauseBridged(t *testing.T) {
	atFullSize(t)
	runPause(t, Topology{Validators: []Stack{Gno(), Gno(), Libp2p()}, OwnLinks: true, Bridge: true}, Libp2p())
}

// proxies holds one proxy per link of a network.
type proxies struct {
	t     *testing.T
	delay func() time.Duration
	all   []*proxy.Proxy
}

// via starts a proxy for the address. It serves as Topology.Via.
func (p *proxies) via(addr string) (string, error) {
	id, target, _ := strings.Cut(addr, "@")
	listen, err := freeAddress(p2ptypes.ID(id))
	if err != nil {
		return "", err
	}
	started, err := proxy.Start(listen.DialString(), target, p.delay)
	if err != nil {
		return "", err
	}
	p.all = append(p.all, started)

	return listen.String(), nil
}

func (p *proxies) close() {
	for _, started := range p.all {
		require.NoError(p.t, started.Close())
	}
	p.all = nil
}

// runCuts tests that a chain goes on while its connections are cut, one after the other, and
// that the nodes connect again.
func runCuts(t *testing.T, topology Topology) {
	besideOthers(t)
	links := &proxies{t: t}
	topology.Via = links.via
	r := startWith(t, newNetwork(t, nil), topology, links.close)
	r.blocks(t, 1, r.Members()...)

	cut := func(i int) int { return links.all[i%len(links.all)].Cut() }
	if topology.Validators[0].Name == Libp2pQUIC().Name {
		cut = func(i int) int { return r.closeOne(t, i) }
	}
	done := 0
	if full() {
		longest := r.observe(t, cutFor+cutEvery/2, cutEvery, func(i int) { done += cut(i) })
		require.Less(t, longest, recovery)
		t.Logf("longest time without a block %s", seconds(longest))
	} else {
		for i := range cuts {
			done += cut(i)
			r.blocks(t, afterLoss(), r.Members()...)
		}
	}
	require.Positive(t, done)
	r.await(t, r.connected)
	r.requireAgreement(t)
	t.Logf("%d cuts, height %d", done, Top(r.Members()...))
	r.stop(t)
}

// connected checks that each member has all its links: one to each other member that speaks
// its protocol, and one through the bridge.
func (r *running) connected() error {
	for _, m := range r.Members() {
		want := 0
		for _, other := range r.Members() {
			if other != m && other.stack.Speaks == m.stack.Speaks {
				want++
			}
		}
		if r.bridge != nil {
			want++
		}
		if have := len(m.Peers()); have < want {
			return fmt.Errorf("%s has %d peers, not %d", m.Name, have, want)
		}
	}

	return nil
}

// closeOne closes one QUIC connection of a member. A proxy cannot do that: the connection
// would migrate to another address.
func (r *running) closeOne(t *testing.T, i int) int {
	t.Helper()
	peers := r.Members()[i%len(r.Members())].Peers()
	if len(peers) == 0 {
		return 0
	}
	require.NoError(t, peers[i%len(peers)].CloseConn())

	return 1
}

// runDelay tests that a chain goes on while data is delayed by random times.
func runDelay(t *testing.T, topology Topology) {
	besideOthers(t)
	links := &proxies{t: t, delay: func() time.Duration { return minDelay + rand.N(maxDelay-minDelay) }}
	topology.Via = links.via
	r := startWith(t, newNetwork(t, patientConsensus), topology, links.close)
	r.blocks(t, 1, r.Members()...)

	if full() {
		from := Top(r.Members()...)
		longest := r.observe(t, delayedFor, delayedFor, func(int) {})
		require.Less(t, longest, recovery)
		t.Logf("%.1f blocks a second, longest time without one %s",
			float64(Top(r.Members()...)-from)/delayedFor.Seconds(), seconds(longest))
	} else {
		r.blocks(t, delayedBlocks, r.Members()...)
	}
	r.requireAgreement(t)
	r.stop(t)
}

// patientConsensus returns timeouts for a network in which a message takes some tenths of a
// second, and twice that through a bridge.
func patientConsensus() *cnscfg.ConsensusConfig {
	c := cnscfg.TestConsensusConfig()
	c.TimeoutPropose, c.TimeoutProposeDelta = 2*time.Second, 500*time.Millisecond
	c.TimeoutPrevote, c.TimeoutPrevoteDelta = time.Second, 500*time.Millisecond
	c.TimeoutPrecommit, c.TimeoutPrecommitDelta = time.Second, 500*time.Millisecond

	return c
}

// reached returns a check that the validator has reported a block at the height.
func (r *Remote) reached(height int64) func() error {
	return func() error {
		if h := r.Height(); h < height {
			return fmt.Errorf("%s is at height %d, not %d", r.name, h, height)
		}

		return nil
	}
}

// runPause pauses the process of a validator, without whose vote there is no majority, and
// resumes it.
func runPause(t *testing.T, topology Topology, paused Stack) {
	besideOthers(t)
	n := newNetwork(t, nil)
	remote, err := n.AddRemote(paused, 2*DefaultPower)
	require.NoError(t, err)
	r := startWith(t, n, topology, func() { stopRemote(t, remote) })
	var dials []string
	for _, m := range r.Members() {
		if m.stack.Speaks == paused.Speaks {
			dials = append(dials, m.Address.String())
		}
	}
	if r.bridge != nil {
		dials = append(dials, r.bridge.AddressFor(paused.Speaks))
	}
	require.NoError(t, remote.Start(dials...))
	r.blocks(t, 3, r.Members()...)

	r.pause(t, remote)
	r.blocks(t, afterLoss(), r.Members()...)
	r.await(t, remote.reached(Top(r.Members()...)))
	r.requireAgreement(t)
	for _, m := range r.Members() {
		require.NoError(t, remote.CheckAgreement(m))
	}
	r.stop(t)
}

// TestClusterFaultsPauseBridge pauses the process of the bridge, without which there is no
// majority. Its connections stay open meanwhile.
func TestClusterFaultsPauseBridge(t *testing.T) {
	besideOthers(t)
	r := start(t, newNetwork(t, nil), bridgedPair())
	r.blocks(t, 3, r.Members()...)
	r.pause(t, r.bridge)
	r.blocks(t, afterLoss(), r.Members()...)
	r.requireAgreement(t)
	r.stop(t)
}

// pause pauses a process. The chain must halt meanwhile, and go on afterwards.
func (r *running) pause(t *testing.T, process interface{ Signal(os.Signal) error }) {
	t.Helper()
	pause := haltWindow
	if full() {
		pause = longPause
	}
	require.NoError(t, process.Signal(syscall.SIGSTOP))
	r.requireHalt(t, pause)
	require.NoError(t, process.Signal(syscall.SIGCONT))
	took := r.awaitWithin(t, recovery, Reached(Top(r.Members()...)+1, r.Members()...))
	t.Logf("paused for %s, next block on all %s later", pause, seconds(took))
}

// stopRemote stops the process if it is running.
func stopRemote(t *testing.T, remote *Remote) {
	t.Helper()
	if remote.Running() {
		require.NoError(t, remote.Stop())
	}
}
