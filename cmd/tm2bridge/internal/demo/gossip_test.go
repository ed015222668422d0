package demo

import (
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// testPeer is one end of an in-memory connection between two reactors. fault returns the
// messages that arrive in place of each message sent.
type testPeer struct {
	compat.PeerConn // nil; the reactor calls only methods implemented here

	id     types.ID
	remote *gossip
	back   *testPeer
	fault  func(msg []byte) [][]byte

	mtx    sync.Mutex
	values map[string]any
}

func (p *testPeer) ID() types.ID { return p.id }

func (p *testPeer) Set(key string, value any) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	p.values[key] = value
}

func (p *testPeer) Get(key string) any {
	p.mtx.Lock()
	defer p.mtx.Unlock()

	return p.values[key]
}

func (p *testPeer) Send(chID byte, msg []byte) bool {
	for _, m := range p.fault(msg) {
		p.remote.Receive(chID, p.back, m)
	}

	return true
}

func faithful(msg []byte) [][]byte { return [][]byte{msg} }

// onData applies fault to the n-th data frame.
func onData(n int, fault func(msg []byte) [][]byte) func([]byte) [][]byte {
	seen := 0
	return func(msg []byte) [][]byte {
		if kind(msg[4]) == kindData {
			if seen++; seen == n {
				return fault(msg)
			}
		}

		return faithful(msg)
	}
}

// testCluster returns a network without transports: a line of reactors, each connected to
// the next. fault applies to the messages of the first.
func testCluster(t *testing.T, perSide int, fault func([]byte) [][]byte) *cluster {
	c := &cluster{perSide: perSide, changed: task.NewSignal(), logger: slog.New(slog.DiscardHandler)}
	c.makeWindows()
	for i := range 2 * perSide {
		g := newGossip(i, c.windows, c.changed.Set, c.logger)
		require.NoError(t, g.Start())
		c.nodes = append(c.nodes, &node{key: types.GenerateNodeKey(), reactor: g})
	}
	for i := range len(c.nodes) - 1 {
		c.connect(i, i+1, fault)
		fault = faithful
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.reactor.mayEnd.Store(true)
			for peer := range n.reactor.links {
				n.reactor.RemovePeer(peer, nil)
			}
			require.NoError(t, n.reactor.Stop())
		}
	})
	require.NoError(t, c.wait(t.Context(), func() bool {
		return !slices.ContainsFunc(c.nodes, func(n *node) bool {
			remotes, peers := n.reactor.remotes()
			return len(remotes) != peers
		})
	}))

	return c
}

func (c *cluster) connect(i, j int, fault func([]byte) [][]byte) {
	a, b := c.nodes[i], c.nodes[j]
	atA := &testPeer{id: b.key.ID(), remote: b.reactor, fault: fault, values: make(map[string]any)}
	atB := &testPeer{id: a.key.ID(), remote: a.reactor, fault: faithful, values: make(map[string]any)}
	atA.back, atB.back = atB, atA
	a.reactor.InitPeer(atA)
	b.reactor.InitPeer(atB)
	a.reactor.AddPeer(atA)
	b.reactor.AddPeer(atB)
}

// runMessages sends count messages from each node on one channel, drains, and returns the
// summary.
func (c *cluster) runMessages(t *testing.T, count int) *Summary {
	for range count {
		for _, n := range c.nodes {
			key, err := n.reactor.windows[n.reactor.index].begin(t.Context(), 0x20)
			require.NoError(t, err)
			n.reactor.originate(key, []byte("a message"))
		}
	}
	c.drain(t.Context())

	return c.summarize()
}

func TestGossipReachesEveryNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testCluster(t, 2, faithful)
		s := c.runMessages(t, 100)
		require.Equal(t, Faults{}, s.Faults)
		require.EqualValues(t, 400, s.Sent)
		require.EqualValues(t, 1200, s.Delivered)
		require.EqualValues(t, 200, s.Native.Sent)
		require.EqualValues(t, 600, s.Libp2p.Delivered)
		require.NotZero(t, s.Crossed.ToLibp2p)
		require.NoError(t, s.Err())
	})
}

func TestGossipDetectsFaults(t *testing.T) {
	var held []byte
	for name, tc := range map[string]struct {
		fault func([]byte) [][]byte
		want  Faults
	}{
		"lost": {
			onData(5, func([]byte) [][]byte { return nil }),
			Faults{Lost: 2, LostOnLinks: 1, LostEndToEnd: 1},
		},
		"last one lost": {
			onData(10, func([]byte) [][]byte { return nil }),
			Faults{Lost: 2, LostOnLinks: 1, LostEndToEnd: 1},
		},
		"duplicated": {
			onData(5, func(msg []byte) [][]byte { return [][]byte{msg, msg} }),
			Faults{Duplicated: 1},
		},
		"reordered": {
			func() func([]byte) [][]byte {
				hold := onData(5, func(msg []byte) [][]byte { held = msg; return nil })
				return func(msg []byte) [][]byte {
					if held != nil {
						msgs := [][]byte{msg, held}
						held = nil
						return msgs
					}
					return hold(msg)
				}
			}(),
			Faults{Reordered: 1},
		},
		"corrupted": {
			onData(5, func(msg []byte) [][]byte { msg[len(msg)-1] ^= 1; return [][]byte{msg} }),
			Faults{Lost: 2, LostOnLinks: 1, LostEndToEnd: 1, Corrupted: 1},
		},
		"closing frame lost": {
			func(msg []byte) [][]byte {
				if kind(msg[4]) == kindFin && msg[5] == 0x40 {
					return nil
				}
				return faithful(msg)
			},
			Faults{Lost: 1, LostOnLinks: 1},
		},
		"invented": {
			onData(5, func(msg []byte) [][]byte {
				f, err := decodeFrame(msg[5], msg)
				if err != nil {
					return nil
				}
				f.seq += 1000
				return [][]byte{f.encode()}
			}),
			Faults{Lost: 1, LostEndToEnd: 1, Corrupted: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := testCluster(t, 1, tc.fault)
				s := c.runMessages(t, 10)
				require.Equal(t, tc.want, s.Faults)
				require.ErrorIs(t, s.Err(), ErrFaulty)
			})
		})
	}
}

func TestGossipCountsLinksThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testCluster(t, 1, faithful)
		for peer := range c.nodes[0].reactor.links {
			c.nodes[0].reactor.RemovePeer(peer, "gone")
			c.nodes[0].reactor.RemovePeer(peer, "gone")
		}
		require.EqualValues(t, 1, c.account().LinksEnded)
	})
}
