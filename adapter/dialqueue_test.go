package adapter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestDialQueueOrder(t *testing.T) {
	network := memory.NewNetwork()
	q := newDialQueue()
	now := time.Now()
	due := []time.Duration{5, 1, 3, 1, 0}
	var ids []types.ID
	for _, d := range due {
		addr := *network.NewNodeInfo().NetAddress
		ids = append(ids, addr.ID)
		q.push(&dial{addr: addr}, now.Add(d*time.Second))
	}
	require.True(t, q.has(ids[2]))
	q.remove(ids[2])
	q.remove(ids[2])
	require.False(t, q.has(ids[2]))
	next, ok := q.next()
	require.True(t, ok)
	require.Equal(t, now, next)

	var got []types.ID
	for d := q.popDue(now.Add(time.Second)); d != nil; d = q.popDue(now.Add(time.Second)) {
		got = append(got, d.addr.ID)
	}
	require.Equal(t, []types.ID{ids[4], ids[1], ids[3]}, got, "by time, then in order")
	require.Equal(t, 1, q.len())
	require.Nil(t, q.popDue(now.Add(5*time.Second-1)))
	require.NotNil(t, q.popDue(now.Add(5*time.Second)))
	_, ok = q.next()
	require.False(t, ok)
}

func TestDialQueueRemoveFunc(t *testing.T) {
	network := memory.NewNetwork()
	q := newDialQueue()
	now := time.Now()
	var kept []types.ID
	for i := range 100 {
		d := &dial{addr: *network.NewNodeInfo().NetAddress, exempt: i%3 == 0}
		q.push(d, now.Add(time.Duration(i%7)))
		if d.exempt {
			kept = append(kept, d.addr.ID)
		}
	}
	require.Equal(t, 100-len(kept), q.removeFunc(func(d *dial) bool { return !d.exempt }))
	require.Equal(t, len(kept), q.len())
	var got []types.ID
	for d := q.popDue(now.Add(7)); d != nil; d = q.popDue(now.Add(7)) {
		got = append(got, d.addr.ID)
	}
	require.ElementsMatch(t, kept, got)
}

func TestDialsOfCrowdsWait(t *testing.T) {
	crowds := map[types.ID]int{"seed": 9, "crowd": 2, "more": 3, "few": 1, "none": 0}
	q, now := newDialQueue(), time.Now()
	for _, id := range []types.ID{"crowd", "more", "few", "none"} {
		q.push(&dial{addr: types.NetAddress{ID: id}}, now)
	}
	q.push(&dial{addr: types.NetAddress{ID: "seed"}}, time.Time{})
	pop := func(at time.Time) (id types.ID) {
		if d := q.popLeast(at, func(d *dial) int { return crowds[d.addr.ID] }, 2); d != nil {
			id = d.addr.ID
		}

		return id
	}
	for _, want := range []types.ID{"seed", "none", "few", ""} {
		require.Equal(t, want, pop(now))
	}
	require.Empty(t, pop(now.Add(crowdWait-1)))
	for _, want := range []types.ID{"crowd", "more", ""} {
		require.Equal(t, want, pop(now.Add(crowdWait)))
	}
	require.Zero(t, q.len())

	q.push(&dial{addr: types.NetAddress{ID: "more"}}, now)
	q.push(&dial{addr: types.NetAddress{ID: "none"}}, now.Add(1))
	require.EqualValues(t, "more", pop(now.Add(longestWait)), "nobody waits without end")
}
