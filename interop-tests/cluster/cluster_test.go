package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	txs = 40
	// haltWindow is how long a chain must make no block to count as halted. A block takes a
	// small fraction of that on any stack.
	haltWindow = 3 * time.Second
	// resumeWithin is how long a chain may take to continue after its bridge restarts. It is
	// checked at full size.
	resumeWithin = 20 * time.Second
)

// afterLoss is how many blocks are made after each loss and each return.
func afterLoss() int64 {
	if full() {
		return 5
	}

	return 3
}

// acceptance is the acceptance test of one topology.
type acceptance struct {
	topology Topology
	joiners  []Stack
	// halts tells whether the chain halts without its bridge.
	halts bool
	// lost is the index of the validator that is stopped and restarted.
	lost int
}

func TestClusterGno(t *testing.T) {
	atFullSize(t)
	acceptance{topology: Of(Gno(), 4), joiners: []Stack{Gno()}, lost: 3}.run(t)
}

func TestClusterNative(t *testing.T) {
	atFullSize(t)
	acceptance{topology: Of(Native(), 4), joiners: []Stack{Native()}, lost: 3}.run(t)
}

func TestClusterLibp2p(t *testing.T) {
	atFullSize(t)
	acceptance{topology: Of(Libp2p(), 4), joiners: []Stack{Libp2p()}, lost: 3}.run(t)
}

func TestClusterLibp2pQUIC(t *testing.T) {
	acceptance{topology: Of(Libp2pQUIC(), 4), joiners: []Stack{Libp2pQUIC()}, lost: 3}.run(t)
}

func TestClusterGnoOnLibp2p(t *testing.T) {
	atFullSize(t)
	acceptance{topology: Of(GnoOnLibp2p(), 4), joiners: []Stack{GnoOnLibp2p()}, lost: 3}.run(t)
}

func TestClusterGnoAndNative(t *testing.T) {
	atFullSize(t)
	acceptance{
		topology: Topology{Validators: []Stack{Gno(), Gno(), Native(), Native()}, OwnLinks: true},
		joiners:  []Stack{Gno(), Native()},
		lost:     3,
	}.run(t)
}

func TestClusterBridged(t *testing.T) {
	acceptance{
		topology: Topology{Validators: []Stack{Gno(), Gno(), Libp2p(), Libp2p()}, OwnLinks: true, Bridge: true},
		joiners:  []Stack{Gno(), Libp2p()},
		halts:    true,
		lost:     3,
	}.run(t)
}

func TestClusterBridgedWithoutOwnLinks(t *testing.T) {
	atFullSize(t)
	acceptance{
		topology: Topology{Validators: []Stack{Gno(), Gno(), Libp2p(), Libp2p()}, Bridge: true},
		joiners:  []Stack{Gno(), Libp2p()},
		halts:    true,
		lost:     3,
	}.run(t)
}

func TestClusterMixed(t *testing.T) {
	acceptance{
		topology: Topology{Validators: []Stack{Gno(), Gno(), Native(), Libp2p()}, OwnLinks: true, Bridge: true},
		joiners:  []Stack{Gno(), Native(), Libp2p()},
		lost:     2, // the bridge can pair joining nodes only with validator 3
	}.run(t)
}

func (a acceptance) run(t *testing.T) {
	besideOthers(t)
	r := start(t, newNetwork(t, nil), a.topology)
	t.Logf("first block after %s", seconds(r.await(t, Reached(1, r.Members()...))))

	count := int64(6)
	if full() {
		count = 50
	}
	took := r.blocks(t, count, r.Members()...)
	t.Logf("%d blocks in %s: %.1f a second", count, seconds(took), float64(count)/took.Seconds())

	a.submit(t, r)
	if !raceBuild {
		a.join(t, r)
	}
	a.loseValidator(t, r)
	if r.bridge != nil {
		a.loseBridge(t, r)
	}
	r.requireAgreement(t)
	r.stop(t)
}

// submit puts transactions into the mempools in turn and waits until every app has all of
// them.
func (a acceptance) submit(t *testing.T, r *running) {
	t.Helper()
	begun := time.Now()
	for i := range txs {
		require.NoError(t, r.Members()[i%len(r.Members())].Submit(fmt.Sprintf("key%d", i), fmt.Sprintf("value%d", i)))
	}
	for i := range txs {
		r.await(t, Stored(fmt.Sprintf("key%d", i), fmt.Sprintf("value%d", i), r.Members()...))
	}
	t.Logf("%d transactions on every app after %s", txs, seconds(time.Since(begun)))
}

// join adds a full node of each kind, which must sync all blocks. If there is a bridge, it
// is their only connection.
func (a acceptance) join(t *testing.T, r *running) {
	t.Helper()
	validators := r.Members()
	for _, stack := range a.joiners {
		m, err := r.Add(stack)
		require.NoError(t, err)
		if r.bridge != nil {
			m.Dial(r.bridge.AddressFor(stack.Speaks))
		} else {
			for _, v := range validators {
				m.Dial(v.Address.String())
			}
		}
		target := Top(validators...)
		require.NoError(t, m.Start(true))
		synced := r.await(t, Reached(target, m))
		switched := synced + r.await(t, InConsensus(m))
		r.blocks(t, afterLoss(), m)
		require.NoError(t, m.requireStored())
		t.Logf("%s joined: %d blocks in %s, in consensus after %s", m.Name, target, seconds(synced), seconds(switched))
	}
}

// requireStored checks that the app has the transactions.
func (m *Member) requireStored() error {
	var errs []error
	for i := range txs {
		errs = append(errs, Stored(fmt.Sprintf("key%d", i), fmt.Sprintf("value%d", i), m)())
	}

	return errors.Join(errs...)
}

// loseValidator stops a validator. The others must go on, and the validator must catch up
// after it restarts.
func (a acceptance) loseValidator(t *testing.T, r *running) {
	t.Helper()
	lost := r.Members()[a.lost]
	require.NoError(t, lost.Stop())
	without := r.blocks(t, afterLoss(), without(r.Members(), lost)...)

	require.NoError(t, lost.Start(false))
	back := r.await(t, Reached(Top(r.Members()...), lost))
	r.blocks(t, afterLoss(), r.Members()...)
	t.Logf("%d blocks without %s in %s, which caught up %s after it was back",
		afterLoss(), lost.Name, seconds(without), seconds(back))
}

// loseBridge kills the bridge. The chain halts if neither side has a majority. Otherwise only
// the nodes that depend on the bridge fall behind.
func (a acceptance) loseBridge(t *testing.T, r *running) {
	t.Helper()
	require.NoError(t, r.bridge.Kill())
	if a.halts {
		r.requireHalt(t, haltWindow)
	} else {
		majority := r.Members()[:len(a.topology.Validators)-1]
		r.blocks(t, afterLoss(), majority...)
	}

	require.NoError(t, r.bridge.Start())
	took := r.awaitWithin(t, resumeWithin, Reached(Top(r.Members()...)+1, r.Members()...))
	r.blocks(t, afterLoss(), r.Members()...)
	t.Logf("all nodes made the next block %s after the bridge was back", seconds(took))
}

// requireHalt checks that no block is made any more. It allows for blocks for which the votes
// were already under way, and returns after the window.
func (r *running) requireHalt(t *testing.T, window time.Duration) {
	t.Helper()
	const underWay = 2
	ctx, cancel := context.WithTimeout(t.Context(), window)
	defer cancel()
	top := Top(r.Members()...)
	err := r.Await(ctx, func() error {
		if h := Top(r.Members()...); h <= top+underWay {
			return fmt.Errorf("at height %d", h)
		}

		return nil
	})
	require.ErrorIs(t, err, context.DeadlineExceeded, "the chain goes on")
}
