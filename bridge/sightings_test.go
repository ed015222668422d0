package bridge

import (
	"bytes"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/conduct"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/summary"
)

func tcp(ip net.IP) net.Addr { return &net.TCPAddr{IP: ip, Port: 1} }

func (j *journal) refuse(id types.ID, ip net.IP) {
	j.refused(InitiatorNative, incoming{id: id}, tcp(ip), errFull)
}

func (j *journal) status() Status {
	var s Status
	j.fill(&s)

	return s
}

func (s *Status) waits(id types.ID) bool {
	for _, w := range s.Waiting {
		if w.ID == id {
			return true
		}
	}

	return false
}

// One site that makes up IDs neither pushes others out of the list nor counts as many nodes.
func TestInventedIDsCountAsFewNodes(t *testing.T) {
	j, honest := newJournal(), types.GenerateNodeKey().ID()
	j.refuse(honest, net.IPv4(8, 8, 0, 9))
	for i := range 4 * maxWaiting {
		j.refuse(types.GenerateNodeKey().ID(), net.IPv4(9, 9, 0, byte(i)))
	}
	s := j.status()
	require.True(t, s.waits(honest))
	require.Len(t, s.Waiting, 1+maxStrangers)
	require.Equal(t, SeenNodes{Native: 1 + maxStrangers}, s.Seen)
	require.Len(t, j.seen, 1+maxStrangers)
}

// The list is full: of strangers the most crowded site gives way, and a known node stays.
func TestKnownNodesStayInTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, known, alone := newJournal(), types.GenerateNodeKey().ID(), types.GenerateNodeKey().ID()
		j.exempt = func(id types.ID) bool { return id == known }
		j.refuse(known, net.IPv4(8, 8, 0, 9))
		j.refuse(alone, net.IPv4(8, 8, 1, 9))
		for site := range maxWaiting * 2 / 3 {
			time.Sleep(time.Millisecond)
			for range 2 {
				j.refuse(types.GenerateNodeKey().ID(), net.IPv4(9, 9, byte(site), 1))
			}
		}
		s := j.status()
		require.Len(t, s.Waiting, maxWaiting)
		require.True(t, s.waits(known))
		require.True(t, s.waits(alone), "sites with two nodes give way first")
		for _, w := range s.Waiting {
			require.Equal(t, w.ID == known, w.Known)
		}

		j.exempt = func(types.ID) bool { return true }
		for range maxWaiting {
			j.refuse(types.GenerateNodeKey().ID(), net.IPv4(7, 7, 0, 1))
		}
		j.exempt = func(types.ID) bool { return false }
		stranger := types.GenerateNodeKey().ID()
		j.refuse(stranger, net.IPv4(6, 6, 0, 1))
		s = j.status()
		require.False(t, s.waits(stranger))
	})
}

// A node is known from the moment that its pair has lasted for a minute, for a day.
func TestWhoIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, id := newJournal(), types.GenerateNodeKey().ID()
		require.False(t, j.knows(id))
		at := netgroup.FromIP(net.IPv4(9, 9, 0, 1))
		begun := time.Now()
		j.sight(id, InitiatorNative, at, begun).paired(begun)
		require.False(t, j.knows(id))
		time.Sleep(conduct.UsefulUptime)
		require.True(t, j.knows(id))
		j.sight(id, InitiatorNative, at, time.Now()).unpaired(begun, time.Now())
		require.True(t, j.knows(id))
		time.Sleep(SeenAge + time.Second)
		j.status()
		require.False(t, j.knows(id))
	})
}

// What a node that dials may cost at a target depends on whether the bridge knows it, and whether it is
// configured.
func TestHowANodeStandsThatDials(t *testing.T) {
	target := newNode(t, InitiatorLibp2p)
	target.ignorePeers(t)
	friend, other := newNode(t, InitiatorNative), newNode(t, InitiatorNative)
	b := newBridge(t, Config{Libp2pPeers: addresses(target), UnconditionalPeers: []types.ID{friend.address.ID}})
	standing := func(n *node) (strangerOrKnown [2]bool) {
		n.join(t, b.NativeAddress())
		awaitPairs(t, b, 1)
		by := b.slots.live()[0].dialer()
		n.leave(t, b)

		return [2]bool{by.stranger, by.known}
	}
	require.Equal(t, [2]bool{false, false}, standing(friend))
	require.Equal(t, [2]bool{true, false}, standing(other))
	require.Eventually(t, func() bool { return b.Status().Seen.Native == 2 }, testTimeout, time.Millisecond)
	b.journal.mtx.Lock()
	b.journal.seen[other.address.ID].known = true // as after a minute
	b.journal.mtx.Unlock()
	require.Equal(t, [2]bool{false, true}, standing(other))
}

// Neighbours of a node that has a pair, who come and are refused under ever new IDs, make no
// stranger of it, nor does a full list in which it has found no room.
func TestNeighboursMakeNoStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, id := newJournal(), types.GenerateNodeKey().ID()
		at, begun := netgroup.FromIP(net.IPv4(9, 9, 0, 1)), time.Now()
		j.sight(id, InitiatorNative, at, begun).paired(begun)
		j.sight(id, InitiatorNative, at, begun).paired(begun)
		crowd := func() {
			time.Sleep(conduct.UsefulUptime)
			for range 2 * maxStrangers {
				j.refuse(types.GenerateNodeKey().ID(), net.IPv4(9, 9, 0, 2))
			}
		}
		crowd()
		require.True(t, j.knows(id))
		j.sight(id, InitiatorNative, at, time.Now()).unpaired(begun, time.Now())
		crowd()
		require.True(t, j.knows(id))
		require.Len(t, j.seen, 1+maxStrangers)

		late := types.GenerateNodeKey().ID()
		j.sight(late, InitiatorNative, at, time.Now()).unpaired(time.Now().Add(-conduct.UsefulUptime), time.Now())
		require.True(t, j.knows(late))
		require.Zero(t, j.seen[late].pairs)
	})
}

// Pairs of strangers that come and go make few lines.
func TestPairsOfStrangersAreSummedUp(t *testing.T) {
	var log bytes.Buffer // read once the bridge has stopped
	target := newNode(t, InitiatorLibp2p)
	target.ignorePeers(t)
	b := newBridgeWith(t, Config{Libp2pPeers: addresses(target), AllowDuplicateIP: true}, func(b *Bridge) {
		b.logger = slog.New(slog.NewTextHandler(&log, nil))
		b.refused = summary.New(b.logger)
	})
	begun, late := time.Now(), 0
	for range 3 {
		n := newNode(t, InitiatorNative)
		n.join(t, b.NativeAddress())
		n.leave(t, b)
		late += n.late
	}
	require.NoError(t, b.Stop())
	pairs := int(b.Status().Counters.PairsOpened)
	require.GreaterOrEqual(t, pairs, 3)
	minutes := 1 + int(time.Since(begun)/time.Minute)
	requireSummedUp(t, log.String(), "pair is up", pairs, 2*minutes+late)
	requireSummedUp(t, log.String(), "pair has ended", pairs, 2*minutes+late)
	if minutes == 1 && late == 0 {
		require.Contains(t, log.String(), `msg="pair has ended" more_times=2 reason=native`)
	}
}
