package bridge

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// player is a node of a game. It dials the bridge, and is dialed by it if it is a target.
type player struct {
	name       string
	addr       types.NetAddress
	stack      string
	configured bool
	target     bool

	// How it answers a dial, from now on.
	delay   time.Duration
	err     error
	silent  bool
	blocked bool

	// suspect tells that the bridge may hold it for down: since a dial of it has failed, or it was at
	// fault, it has not answered, or, if it was not configured, kept no pair.
	suspect bool
}

// use is a dial of a target for a node, or the pair that came of it.
type use struct {
	by     dialer
	node   *player
	target *player
	picked *target // of a pair
}

// game plays random nodes and targets against the choice of a bridge at defaults. What it expects
// follows from what the nodes did, not from what the bridge remembers.
type game struct {
	t       *testing.T
	b       *Bridge
	rand    *rand.Rand
	players []*player

	mtx       sync.Mutex
	uses      map[*use]bool   // true: a pair
	searching map[string]bool // the nodes that search, by ID and identity
	dials     int
	wrong     []string // broken promises
}

func newGame(t *testing.T, seed uint64) *game {
	t.Helper()
	g := &game{t: t, rand: rand.New(rand.NewPCG(seed, 0)), uses: make(map[*use]bool), searching: make(map[string]bool)}
	config := Config{}
	for i := range 10 {
		p := &player{name: fmt.Sprint("node", i), addr: *dialable(i), stack: InitiatorLibp2p, configured: i < 6, target: i < 9}
		p.addr.IP = net.IPv4(byte(20+i/2), 0, 0, 1) // two nodes a host
		p.addr.Port += uint16(i)
		switch {
		case i < 3:
			p.stack, config.NativePeers = InitiatorNative, append(config.NativePeers, &p.addr)
		case i < 6:
			config.Libp2pPeers = append(config.Libp2pPeers, &p.addr)
		case i == 9:
			p.stack = InitiatorNative
		}
		g.players = append(g.players, p)
	}
	b, err := New(*types.GenerateNodeKey(), config, quiet())
	require.NoError(t, err)
	g.b = b

	return g
}

// sideOf returns the targets of a stack.
func (g *game) sideOf(stack string) *targets {
	if stack == InitiatorNative {
		return g.b.nativeTargets
	}

	return g.b.libp2pTargets
}

// search lets the node dial the bridge, unless it has a pair or a search at this identity.
func (g *game) search(node *player) {
	host := netgroup.Host(netgroup.FromIP(node.addr.IP))
	by := dialer{id: node.addr.ID, host: host, from: host, at: types.ID(fmt.Sprint("identity", g.rand.IntN(2)))}
	side := g.sideOf(InitiatorLibp2p)
	if node.stack == InitiatorLibp2p {
		by.at, side = "identity0", g.sideOf(InitiatorNative)
		if node.target && !node.configured && !node.blocked {
			g.b.libp2pTargets.announce(node.addr, node.addr.IP)
		}
	}
	claim := string(by.id + by.at)
	g.mtx.Lock()
	defer g.mtx.Unlock()
	busy := g.searching[claim] || node.blocked
	for u, up := range g.uses {
		busy = busy || up && u.by.id == by.id && u.by.at == by.at
	}
	if busy {
		return
	}
	g.searching[claim] = true
	var tried []*use
	s := &search{bridge: g.b, node: by, targets: side, discard: func(compat.PeerConn) {}}
	s.try = func(ctx context.Context, addr types.NetAddress) (compat.PeerConn, error) {
		return g.dial(ctx, &use{by: by, node: node, target: g.player(addr.ID)}, &tried)
	}
	g.b.wg.Go(func() {
		pair, end := context.WithCancel(g.t.Context())
		defer end()
		making, stop := context.WithTimeout(pair, pairTimeout)
		defer stop()
		begun := time.Now()
		picked, _, err := s.find(making, pair)
		g.mtx.Lock()
		g.check(time.Since(begun) <= pairTimeout, "the search of %s took %s", node.name, time.Since(begun))
		delete(g.searching, claim)
		if err == nil {
			g.uses[&use{by, node, g.player(picked.addr.ID), picked}] = true
		}
		g.mtx.Unlock()
		<-s.left
	})
}

func (g *game) player(id types.ID) *player {
	return g.players[slices.IndexFunc(g.players, func(p *player) bool { return p.addr.ID == id })]
}

// check notes a broken promise. The caller holds the lock.
func (g *game) check(holds bool, format string, args ...any) {
	if !holds {
		g.wrong = append(g.wrong, fmt.Sprintf(format, args...))
	}
}

// dial is what the target does when the bridge dials it for the node.
func (g *game) dial(ctx context.Context, u *use, tried *[]*use) (compat.PeerConn, error) {
	g.mtx.Lock()
	p := u.target
	g.judge(u, *tried)
	*tried = append(*tried, u)
	g.uses[u] = false
	g.dials++
	delay, err, silent := p.delay, p.err, p.silent
	g.mtx.Unlock()

	if silent {
		delay = time.Hour
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.mtx.Lock()
	defer g.mtx.Unlock()
	delete(g.uses, u)
	if err != nil {
		p.suspect = p.suspect || !p.configured || !compat.ClassifyDial(err).Answered()
	} else if p.configured {
		p.suspect = false
	}
	if err != nil {
		return nil, err
	}
	if p.stack == InitiatorLibp2p {
		g.b.book.MarkAnswered(&p.addr, types.StackLibp2p)
	}

	return &farSide{}, nil
}

// judge checks that the target is the right one to dial. The caller holds the lock.
func (g *game) judge(u *use, tried []*use) {
	g.check(!u.target.blocked, "%s is blocked", u.target.name)
	g.check(u.target != u.node, "%s is joined to itself", u.node.name)
	g.check(!g.taken(u.by, u.target), "%s may not have another pair with %s", u.node.name, u.target.name)
	for _, p := range g.players {
		if p == u.target || p == u.node || !p.target || p.stack != u.target.stack || p.suspect || p.blocked || g.joined(u.node, p) || g.barred(u.by, p) {
			continue
		}
		at := slices.IndexFunc(tried, func(other *use) bool { return other.target == p })
		_, running := g.uses[u]
		if at >= 0 {
			_, running = g.uses[tried[at]]
		}
		if !u.target.configured && p.configured {
			g.check(at >= 0 && !running, "%s was not configured, and %s is free", u.target.name, p.name)
		}
		if g.joined(u.node, u.target) && (p.configured || len(tried) == 0 && g.isLearned(p)) {
			g.check(at >= 0, "%s and %s have a pair already, and %s is free", u.node.name, u.target.name, p.name)
		}
	}
}

func (g *game) isLearned(p *player) bool {
	return len(g.b.book.Of(p.addr.ID)) > 0 && g.b.book.Of(p.addr.ID)[0].Failures == 0
}

// joined reports whether a pair, or one that is being made, joins the nodes.
func (g *game) joined(a, b *player) bool {
	for u := range g.uses {
		if u.node == a && u.target == b || u.node == b && u.target == a {
			return true
		}
	}

	return false
}

// barred reports whether the target is dialed for the node, or has a pair with it, by another of its
// identities, or by another node of its host.
func (g *game) barred(by dialer, p *player) bool {
	for u := range g.uses {
		if u.target == p && (u.by.id == by.id && u.by.at != by.at || u.by.host == by.host) {
			return true
		}
	}

	return false
}

// taken is barred without the dials that another node of the host may not need any more.
func (g *game) taken(by dialer, p *player) bool {
	for u, up := range g.uses {
		if u.target == p && (u.by.id == by.id && u.by.at != by.at || up && u.by.host == by.host) {
			return true
		}
	}

	return false
}

// step lets something happen.
func (g *game) step() {
	p := g.players[g.rand.IntN(len(g.players))]
	switch g.rand.IntN(10) {
	case 0: // it comes to answer differently
		g.mtx.Lock()
		p.delay = time.Duration(g.rand.Int64N(int64(3 * time.Second)))
		p.silent = g.rand.IntN(4) == 0
		p.err = []error{
			nil, nil, errors.New("connection refused"), compat.Reject(compat.RejectFull, ""), compat.Reject(compat.RejectInvalid, ""), nil,
		}[g.rand.IntN(6)]
		g.mtx.Unlock()
	case 1:
		g.mtx.Lock()
		p.blocked = !p.blocked
		g.mtx.Unlock()
		if p.blocked {
			require.NoError(g.t, g.b.Block(p.addr.ID))
		} else {
			require.True(g.t, g.b.Unblock(p.addr.ID))
		}
	case 2, 3, 4: // a pair ends
		g.end(kept, faulty, dropped, nodeLeft, nodeLeftEarly, unknown)
	default:
		g.search(p)
	}
}

// end ends a pair, if there is one, with one of the outcomes.
func (g *game) end(outcomes ...outcome) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	for u, up := range g.uses {
		if up {
			o := outcomes[g.rand.IntN(len(outcomes))]
			if !u.target.configured && o != unknown {
				u.target.suspect = o == faulty
			}
			delete(g.uses, u)
			u.picked.side.release(u.picked, o)

			return
		}
	}
}

// requireSameUses fails if the bridge holds another target for another node than those that are dialed or have
// a pair: each is released when its use ends, and neither before nor twice.
func (g *game) requireSameUses() {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	var want, got []string
	for u := range g.uses {
		want = append(want, fmt.Sprint(u.by.id, u.by.at, u.target.addr.ID))
	}
	g.b.libp2pTargets.inUse.mtx.Lock()
	defer g.b.libp2pTargets.inUse.mtx.Unlock()
	for t, by := range g.b.libp2pTargets.inUse.list {
		got = append(got, fmt.Sprint(by.id, by.at, t.addr.ID))
	}
	require.ElementsMatch(g.t, want, got)
	require.Empty(g.t, g.wrong, "after %d dials", g.dials)
}

// Whatever nodes and targets do, in whatever order: no target is dialed that is blocked or that the node may
// not have, none is joined to a node twice while another is free, the configured ones are dialed before the
// others unless they are down, each search ends in time, and each target is released once.
func TestChoiceKeepsItsPromises(t *testing.T) {
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			g := newGame(t, seed)
			for range 300 {
				g.step()
				synctest.Wait()
				g.requireSameUses()
				time.Sleep(time.Duration(g.rand.Int64N(int64(time.Second)))) // in nanoseconds: no two searches are in step
			}
			g.b.wg.Wait()
			for len(g.uses) > 0 {
				g.end(kept)
			}
			g.requireSameUses()
			require.Empty(t, g.b.libp2pTargets.inUse.list)
			require.Greater(t, g.dials, 10)
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
