package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	migrators = 4
	// roundsLost is how long blocks may take longer than a restart, at full size: a proposer
	// that is away costs a round, and so may votes that were under way.
	roundsLost = 5 * time.Second
)

// migration is a network whose nodes change their stack, one after the other. The chain goes
// on all the time.
type migration struct {
	*running

	perStep int64 // blocks that are made while a node is down, and again after each step
	sent    int   // transactions so far
	steps   int
	top     int64 // height after the last step
}

// TestClusterMigration moves validators from gno's own switch to both stacks, then to libp2p
// only, and all the way back. Nodes that speak only libp2p join when they can. Every two
// nodes have one connection after each restart, although both dial.
func TestClusterMigration(t *testing.T) {
	besideOthers(t)
	topology := Of(Gno(), migrators)
	topology.BothDial = true
	joiners, perStep, onward := 1, int64(2), 1
	if full() {
		joiners, perStep, onward = 2, 20, migrators
	}
	m := &migration{running: start(t, newNetwork(t, nil), topology), perStep: perStep}
	validators := m.Members()
	m.report(t, "all on gno's own switch", time.Now())

	m.move(t, Dual(), validators...)
	for range joiners {
		m.join(t, Libp2p())
	}
	m.move(t, DualSetToLibp2p(), validators[:onward]...)
	m.move(t, Dual(), validators[:onward]...)
	m.move(t, Dual(), m.Members()[migrators:]...)
	m.move(t, Gno(), append(validators[:onward:onward], m.Members()[migrators:]...)...)

	m.requireAgreement(t)
	m.stop(t)
}

// move restarts nodes on another stack, one after the other.
func (m *migration) move(t *testing.T, to Stack, members ...*Member) {
	t.Helper()
	for _, one := range members {
		others := without(m.Members(), one)
		begun := time.Now()
		from := m.submit(t, others)
		require.NoError(t, one.Stop())
		m.blocks(t, m.perStep, others...)

		one.SetStack(to)
		require.NoError(t, one.Start(false))
		m.await(t, Reached(Top(m.Members()...), one))
		m.requireStored(t, from)
		m.report(t, fmt.Sprintf("%s on %s", one.Name, to.Name), begun)
	}
}

// join adds a node that knows all validators.
func (m *migration) join(t *testing.T, stack Stack) {
	t.Helper()
	begun := time.Now()
	one, err := m.Add(stack)
	require.NoError(t, err)
	for _, v := range m.Members()[:migrators] {
		one.Dial(v.Address.String())
	}
	require.NoError(t, one.Start(!raceBuild))
	m.await(t, Reached(Top(m.Members()...), one))
	m.await(t, InConsensus(one))
	m.report(t, one.Name+" joined", begun)
}

// submit puts a transaction into the mempool of each node, and returns the number of the
// first.
func (m *migration) submit(t *testing.T, members []*Member) (from int) {
	t.Helper()
	from = m.sent
	for _, one := range members {
		require.NoError(t, one.Submit(fmt.Sprintf("key%d", m.sent), fmt.Sprintf("value%d", m.sent)))
		m.sent++
	}

	return from
}

// requireStored waits until every app has the transactions from the number on.
func (m *migration) requireStored(t *testing.T, from int) {
	t.Helper()
	for i := from; i < m.sent; i++ {
		m.await(t, Stored(fmt.Sprintf("key%d", i), fmt.Sprintf("value%d", i), m.Members()...))
	}
}

// report waits until the links are complete, and logs them.
func (m *migration) report(t *testing.T, what string, begun time.Time) {
	t.Helper()
	var links []Link
	m.await(t, func() (err error) {
		links, err = Links(m.Members()...)

		return err
	})
	back := time.Since(begun)
	m.blocks(t, m.perStep, m.Members()...)
	top := Top(m.Members()...)
	m.await(t, Reached(top, m.Members()[0])) // another one may be ahead
	halt := longestHalt(m.Members()[0], m.top, top)
	if full() {
		require.Less(t, halt, back+roundsLost)
	}
	m.steps++
	t.Logf("%2d. %s after %s; longest time between the blocks to height %d: %s; links: %s",
		m.steps, what, seconds(back), top, seconds(halt), Describe(links))
	m.top = top
}

// longestHalt returns the longest time between two blocks that follow each other, by the
// clocks of the validators.
func longestHalt(m *Member, from, to int64) (longest time.Duration) {
	for h := max(from, 1); h < to; h++ {
		former, next := m.Blocks().LoadBlockMeta(h), m.Blocks().LoadBlockMeta(h+1)
		longest = max(longest, next.Header.Time.Sub(former.Header.Time))
	}

	return longest
}
