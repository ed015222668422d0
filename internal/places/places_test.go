package places

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lobby is a listener that remembers which connections had to give way.
type lobby struct {
	*Places
	t       *testing.T
	evicted []string // names, in order
}

func newLobby(t *testing.T, limits Limits) *lobby {
	t.Helper()

	return &lobby{Places: New(limits), t: t}
}

// visit takes a place for a connection from the IP and returns the names of those that
// gave way.
func (l *lobby) visit(name, ip string, configured bool) (*Place, []string) {
	l.t.Helper()
	before := len(l.evicted)
	p, err := l.Take(parse(ip), configured, func() { l.evicted = append(l.evicted, name) })
	require.NoError(l.t, err)

	return p, l.evicted[before:]
}

func (l *lobby) requireRefused(ip string) {
	l.t.Helper()
	taken, before := l.Taken(), len(l.evicted)
	p, err := l.Take(parse(ip), false, func() { l.t.Error("it has no place") })
	require.ErrorIs(l.t, err, ErrFull)
	require.Nil(l.t, p)
	require.Equal(l.t, taken, l.Taken())
	require.Len(l.t, l.evicted, before)
}

func (l *lobby) requireEmpty() {
	l.t.Helper()
	for _, pool := range []*pool{&l.others, &l.configured} {
		require.Zero(l.t, pool.total)
		require.Zero(l.t, pool.open.Len())
		for _, crowds := range pool.crowds {
			require.Empty(l.t, crowds)
		}
	}
}

func parse(ip string) netip.Addr {
	addr, _ := netip.ParseAddr(ip)

	return addr
}

func TestPlacesAreCounted(t *testing.T) {
	l := newLobby(t, Limits{Total: 4, PerHost: 2})
	var taken []*Place
	for _, ip := range []string{"10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2"} {
		p, evicted := l.visit(ip, ip, false)
		require.Empty(t, evicted)
		require.True(t, p.Settle())
		taken = append(taken, p)
	}
	require.Equal(t, 4, l.Taken())
	l.requireRefused("10.0.0.1")
	l.requireRefused("10.0.0.3")
	for _, p := range taken {
		require.False(t, p.Leave())
		require.False(t, p.Leave(), "a second call changes nothing")
		p.Speak()
		require.True(t, p.Settle())
	}
	l.requireEmpty()
}

// At its limit a host takes the place of whichever of its connections has been silent
// longest, then of the oldest, and of no other host.
func TestHostAtItsLimitTakesFromItself(t *testing.T) {
	l := newLobby(t, Limits{Total: 10, PerHost: 3})
	l.visit("other", "10.0.0.2", false)
	first, _ := l.visit("first", "10.0.0.1", false)
	second, _ := l.visit("second", "10.0.0.1", false)
	third, _ := l.visit("third", "10.0.0.1", false)
	first.Speak()

	fourth, evicted := l.visit("fourth", "10.0.0.1", false)
	require.Equal(t, []string{"second"}, evicted)
	require.False(t, second.Settle())
	require.True(t, second.Leave(), "it learns that it was evicted")
	third.Speak()
	fourth.Speak()
	fifth, evicted := l.visit("fifth", "10.0.0.1", false)
	require.Equal(t, []string{"first"}, evicted, "a byte does not keep a place")
	for _, p := range []*Place{third, fourth, fifth} {
		require.True(t, p.Settle())
	}
	l.requireRefused("10.0.0.1")
	require.Equal(t, 4, l.Taken())
}

// Each crowd gives way to a connection from elsewhere, though all of it has spoken: the
// widest network that differs decides.
func TestTheMostCrowdedGivesWay(t *testing.T) {
	for name, crowd := range map[string][]string{
		"a host":          {"10.1.1.1", "10.1.1.1", "10.1.1.1"},
		"an IPv4 /24":     {"10.1.1.1", "10.1.1.2", "10.1.1.3"},
		"an IPv4 /16":     {"10.1.1.1", "10.1.2.1", "10.1.3.1"},
		"an IPv6 /64":     {"2001:db8::1", "2001:db8::2", "2001:db8::3"},
		"an IPv6 /48":     {"2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"},
		"an IPv6 /32":     {"2001:db8::1", "2001:db8:1::1", "2001:db8:2::1"},
		"an unknown host": {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLobby(t, Limits{Total: 6, PerHost: 6})
			// The honest ones are older, and still silent.
			for _, ip := range []string{"10.2.1.1", "10.3.1.1", "2001:db9::1"} {
				l.visit("honest", ip, false)
			}
			for i, ip := range crowd {
				p, evicted := l.visit(fmt.Sprint(i), ip, false)
				require.Empty(t, evicted)
				p.Speak()
			}
			_, evicted := l.visit("honest", "10.4.1.1", false)
			require.Equal(t, []string{"0"}, evicted)
			_, evicted = l.visit("honest", "10.5.1.1", false)
			require.Equal(t, []string{"1"}, evicted)
		})
	}
}

// The widest network decides first: many hosts of one network give way before the few
// connections of one host elsewhere.
func TestTheWidestNetworkDecides(t *testing.T) {
	l := newLobby(t, Limits{Total: 5, PerHost: 5})
	for _, ip := range []string{"10.2.1.1", "10.2.1.1", "10.1.1.1", "10.1.2.1", "10.1.3.1"} {
		l.visit(ip, ip, false)
	}
	_, evicted := l.visit("new", "10.3.1.1", false)
	require.Equal(t, []string{"10.1.1.1"}, evicted)
}

// In a crowded network the crowded part of it gives way.
func TestTheCrowdedPartOfANetworkGivesWay(t *testing.T) {
	l := newLobby(t, Limits{Total: 6, PerHost: 6})
	l.visit("same /16", "10.1.9.1", false)
	l.visit("same /24", "10.1.1.9", false)
	for i, ip := range []string{"10.1.1.1", "10.1.1.2", "10.1.1.2", "10.1.1.1"} {
		p, _ := l.visit(fmt.Sprint(i), ip, false)
		p.Speak()
	}
	_, evicted := l.visit("new", "10.1.8.1", false)
	require.Equal(t, []string{"0"}, evicted)
	_, evicted = l.visit("new", "10.1.7.1", false)
	require.Equal(t, []string{"1"}, evicted)
}

// Whoever would be the most crowded takes nothing from others, and of equals the newcomer
// stays: so a flood from very many networks only shortens the time for a handshake.
func TestNewcomerTakesFromEqualsOnly(t *testing.T) {
	l := newLobby(t, Limits{Total: 3, PerHost: 3})
	lone, _ := l.visit("lone", "10.1.0.1", false)
	for range 2 {
		p, _ := l.visit("settled", "10.2.0.1", false)
		p.Settle()
	}
	l.requireRefused("10.2.0.1")
	l.requireRefused("10.2.0.2")
	lone.Speak()
	_, evicted := l.visit("new", "10.3.0.1", false)
	require.Equal(t, []string{"lone"}, evicted)
}

// Where something else limits the places, one is freed by the same rule, and for a configured
// peer by whoever is the most crowded.
func TestGiveWay(t *testing.T) {
	l := newLobby(t, Limits{Total: 9, PerHost: 9, Configured: 1})
	require.False(t, l.GiveWay(parse("10.1.0.1"), true), "there is none")
	l.visit("configured", "10.1.0.9", true)
	settled, _ := l.visit("settled", "10.1.0.1", false)
	settled.Settle()
	l.visit("lone", "10.2.0.1", false)
	l.visit("crowd", "10.1.0.2", false)
	require.True(t, l.GiveWay(parse("10.3.0.1"), false))
	require.Equal(t, []string{"crowd"}, l.evicted)
	require.False(t, l.GiveWay(parse("10.1.0.3"), false), "the newcomer is the most crowded")
	require.True(t, l.GiveWay(parse("10.1.0.3"), true))
	require.Equal(t, []string{"crowd", "lone"}, l.evicted)
	require.False(t, l.GiveWay(parse("10.4.0.1"), true), "the others are settled or configured")
	require.Equal(t, 2, l.Taken())
	require.Len(t, l.others.crowds[0], 1, "newcomers are not counted")
}

// One network of any kind has all places to itself while nobody else comes.
func TestLonelyNetworkIsNotRefused(t *testing.T) {
	l := newLobby(t, Limits{Total: 64, PerHost: 4})
	for i := range 64 {
		_, evicted := l.visit("x", fmt.Sprintf("192.168.0.%d", i/4), false)
		require.Empty(t, evicted)
	}
}

// Whatever others do, a host of a configured peer finds a place, and keeps it.
func TestPlacesForConfiguredPeers(t *testing.T) {
	l := newLobby(t, Limits{Total: 2, PerHost: 2, Configured: 2})
	for range 2 {
		p, _ := l.visit("settled", "10.1.0.1", false)
		p.Settle()
	}
	l.requireRefused("10.9.0.1")
	_, evicted := l.visit("friend", "10.9.0.1", true)
	require.Empty(t, evicted)
	_, evicted = l.visit("friend", "10.9.0.1", true)
	require.Empty(t, evicted)
	l.requireRefused("10.9.0.1")
	_, evicted = l.visit("another", "10.8.0.1", true)
	require.Equal(t, []string{"friend"}, evicted, "among themselves the same rules hold")
	require.Equal(t, 4, l.Taken())

	l = newLobby(t, Limits{Total: 1, PerHost: 1})
	p, _ := l.visit("settled", "10.1.0.1", true)
	p.Settle()
	l.requireRefused("10.9.0.1")
}

// Many hosts come and go at once: the limits hold, and in the end nothing is left.
func TestPlacesConcurrently(t *testing.T) {
	limits := Limits{Total: 20, PerHost: 5, Configured: 3}
	ps := New(limits)
	var told, learned atomic.Int64 // evictions
	leave := func(p *Place) {
		if p.Leave() {
			learned.Add(1)
		}
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(worker)))
			var mine []*Place
			for range 500 {
				ip := netip.AddrFrom4([4]byte{10, byte(r.IntN(3)), byte(r.IntN(2)), byte(r.IntN(3))})
				p, err := ps.Take(ip, r.IntN(8) == 0, func() { told.Add(1) })
				if err == nil {
					mine = append(mine, p)
				}
				if taken := ps.Taken(); taken > limits.Total+limits.Configured {
					t.Errorf("%d places are taken", taken)
				}
				if len(mine) == 0 {
					continue
				}
				i := r.IntN(len(mine))
				switch r.IntN(3) {
				case 0:
					mine[i].Speak()
				case 1:
					mine[i].Settle()
				default:
					leave(mine[i])
					mine = append(mine[:i], mine[i+1:]...)
				}
			}
			for _, p := range mine {
				leave(p)
			}
		})
	}
	wg.Wait()
	require.Positive(t, told.Load())
	require.Equal(t, told.Load(), learned.Load())
	(&lobby{Places: ps, t: t}).requireEmpty()
}
