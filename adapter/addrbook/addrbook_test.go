package addrbook_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func openBook(t *testing.T, path string, opts ...addrbook.Option) *addrbook.Book {
	t.Helper()
	b, err := addrbook.Open(path, types.NetAddress{}, opts...)
	require.NoError(t, err)

	return b
}

// sourceAt is a peer that tells addresses from the IP.
func sourceAt(ip string) addrbook.Source {
	return addrbook.Source{ID: types.GenerateNodeKey().ID(), IP: net.ParseIP(ip)}
}

// addrsAt are n addresses of different peers at ip.0.0 and so on.
func addrsAt(prefix string, n int) []*types.NetAddress {
	addrs := make([]*types.NetAddress, 0, n)
	for i := range n {
		addrs = append(addrs, addrAt(fmt.Sprintf("%s.%d.%d", prefix, i/250, i%250+1), 26656))
	}

	return addrs
}

// One source, and all sources of one network, have a limited number of hints.
func TestHintsPerSource(t *testing.T) {
	const limit = 64
	count := func(b *addrbook.Book, prefix string) (n int) {
		for _, addr := range b.Addresses() {
			if strings.HasPrefix(addr.IP.String(), prefix+".") {
				n++
			}
		}

		return n
	}
	t.Run("one peer", func(t *testing.T) {
		b := openBook(t, "")
		require.Equal(t, limit, b.Add(sourceAt("9.9.9.9"), addrsAt("20.1", 500)...))
		require.Equal(t, limit, b.Size())
	})
	t.Run("another limit", func(t *testing.T) {
		b := openBook(t, "", addrbook.WithMaxHints(100))
		require.Equal(t, 100, b.Add(sourceAt("9.9.9.9"), addrsAt("20.1", 500)...))
		_, err := addrbook.Open("", types.NetAddress{}, addrbook.WithMaxHints(0))
		require.Error(t, err)
	})
	t.Run("peers of one network", func(t *testing.T) {
		b := openBook(t, "")
		b.Add(sourceAt("9.9.1.1"), addrsAt("20.1", 50)...)
		b.Add(sourceAt("9.9.255.1"), addrsAt("20.2", 50)...)
		require.Equal(t, limit, b.Size())
		b.Add(sourceAt("9.8.1.1"), addrsAt("20.3", 50)...)
		require.Equal(t, limit+50, b.Size())
	})
	t.Run("peers of one IPv6 network", func(t *testing.T) {
		b := openBook(t, "")
		b.Add(sourceAt("2600:1:2::1"), addrsAt("20.1", 50)...)
		b.Add(sourceAt("2600:1:3::1"), addrsAt("20.2", 50)...)
		require.Equal(t, limit, b.Size())
	})
	t.Run("private networks are small", func(t *testing.T) {
		b := openBook(t, "")
		for i := range 5 {
			b.Add(sourceAt("10.0.0.1"), addrsAt(fmt.Sprintf("20.%d", i), 500)...)
		}
		require.Equal(t, 5*limit, b.Size())
	})
	t.Run("verified ones do not count", func(t *testing.T) {
		b := openBook(t, "")
		source := sourceAt("9.9.9.9")
		addrs := addrsAt("20.1", limit)
		require.Equal(t, limit, b.Add(source, addrs...))
		for _, addr := range addrs {
			b.MarkConnected(addr, true)
		}
		require.Equal(t, limit, b.Add(source, addrsAt("20.2", limit)...))
		require.Equal(t, 2*limit, b.Size())
	})
	t.Run("newer ones take the place of older ones", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := openBook(t, "")
			source := sourceAt("9.9.9.9")
			b.Add(source, addrsAt("20.1", limit)...)
			pass(time.Second)
			require.Equal(t, 10, b.Add(source, addrsAt("20.2", 10)...))
			require.Equal(t, limit-10, count(b, "20.1"))
			require.Equal(t, 10, count(b, "20.2"))
		})
	})
	t.Run("telling what another told takes nothing from it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := openBook(t, "")
			honest, liar := sourceAt("9.9.9.9"), sourceAt("8.8.8.8")
			addrs := addrsAt("20.1", 10)
			b.Add(honest, addrs...)
			pass(time.Second)
			require.Zero(t, b.Add(liar, addrs...))
			for range 10 {
				pass(time.Second)
				b.Add(liar, addrsAt("20.2", 100)...)
			}
			require.Equal(t, 10, count(b, "20.1"))
		})
	})
	t.Run("also after a restart", func(t *testing.T) {
		path := bookPath(t)
		b := openBook(t, path)
		source := sourceAt("9.9.9.9")
		b.Add(source, addrsAt("20.1", limit)...)
		require.NoError(t, b.Save())
		b = openBook(t, path)
		b.Add(source, addrsAt("20.2", limit)...)
		require.Equal(t, limit, b.Size())
		b.Add(sourceAt("9.9.1.1"), addrsAt("20.3", limit)...)
		require.Equal(t, limit, b.Size())
	})
}

func TestFewAddressesOfOnePeer(t *testing.T) {
	b := openBook(t, "")
	works := addrAt("1.2.3.4", 1)
	b.MarkConnected(works, true)
	lies := addrsAt("20.1", 50)
	for _, addr := range lies {
		addr.ID = works.ID
	}
	require.Equal(t, 2, b.Add(sourceAt("9.9.9.9"), lies...))
	require.Equal(t, works.String(), texts(b.Addresses())[0])
	require.Equal(t, 3, b.Size())
}

func TestFewPeersOfOneAddress(t *testing.T) {
	b := openBook(t, "")
	lies := addrsAt("20.1", 50)
	for _, addr := range lies {
		addr.IP = net.IPv4(1, 2, 3, 4)
	}
	source := sourceAt("9.9.9.9")
	require.Equal(t, 2, b.Add(source, lies...))
	for _, addr := range lies {
		addr.Port += 1000
	}
	require.Equal(t, 2, b.Add(source, lies...), "nodes behind one IP differ by port")

	other := addrsAt("20.2", 50)
	for _, addr := range other {
		addr.IP = net.IPv4(1, 2, 3, 4)
	}
	b.Add(sourceAt("8.8.8.8"), other...)
	var there int
	for _, addr := range b.Addresses() {
		if addr.Port == other[0].Port {
			there++
		}
	}
	require.Equal(t, 3, there)
}

// What one source says of a peer leaves a place for what another says.
func TestLiesLeaveAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBook(t, "")
		right := addrAt("5.6.7.8", 26656)
		require.Equal(t, 1, b.Add(sourceAt("1.1.1.1"), right))
		pass(time.Second)
		lies := addrsAt("20.1", 3)
		for _, addr := range lies {
			addr.ID = right.ID
		}
		require.Equal(t, 2, b.Add(sourceAt("2.2.2.2"), lies...))
		require.Contains(t, texts(b.Addresses()), right.String())
	})
}

// One machine with many ports, or one network, has few places, also where this node
// has dialed it; a private network is not limited.
func TestOneHostHasFewPlaces(t *testing.T) {
	for _, c := range []struct {
		name   string
		host   func(i int) string
		places int
	}{
		{"IPv4", func(int) string { return "9.9.9.9" }, 8},
		{"IPv6 /64", func(i int) string { return fmt.Sprintf("2600::%x", i+1) }, 8},
		{"IPv4 /16", func(i int) string { return fmt.Sprintf("9.9.%d.%d", i/250, i%250+1) }, 128},
		{"private", func(int) string { return "10.1.2.3" }, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := openBook(t, "")
				honest := addrsAt("5.6", 100)
				for _, addr := range honest {
					b.MarkConnected(addr, true)
				}
				pass(time.Second)
				for i := range 200 {
					b.MarkConnected(addrAt(c.host(i), uint16(1000+i)), true)
				}
				require.Equal(t, len(honest)+c.places, b.Size())
			})
		})
	}
}

// One network may fill the book, but it keeps only a share against addresses of others, also where all
// of its own have answered, and after a restart. A private network counts as many.
func TestOneNetworkDoesNotKeepABook(t *testing.T) {
	const room = 64
	for _, c := range []struct {
		name string
		host func(i int) string
		left int // of the network, once there are enough others
	}{
		{"IPv6 /48", func(i int) string { return fmt.Sprintf("2600:1:1:%x::1", i/8) }, 8},
		{"IPv4 /16", func(i int) string { return fmt.Sprintf("9.9.%d.1", i) }, 8},
		{"private", func(i int) string { return fmt.Sprintf("10.9.%d.1", i) }, room},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := bookPath(t)
				open := func() *addrbook.Book { return openBook(t, path, addrbook.WithMaxPeers(room)) }
				b := open()
				crowd := make(map[types.ID]bool)
				answer := func() {
					for i := range room {
						addr := addrAt(c.host(i), uint16(1000+i))
						crowd[addr.ID] = true
						b.MarkConnected(addr, true)
					}
				}
				crowded := func() (n int) {
					for _, addr := range b.Addresses() {
						if crowd[addr.ID] {
							n++
						}
					}

					return n
				}
				answer()
				require.Equal(t, room, b.Size(), "nobody else has anything to tell")
				want := min(1, room-c.left)
				require.Equal(t, want, b.Add(sourceAt("8.8.8.8"), addrAt("8.8.8.8", 1)))
				require.NoError(t, b.Flush())
				b = open()
				require.Equal(t, room-want, crowded())
				require.Equal(t, want, b.Add(sourceAt("7.7.7.7"), addrAt("7.7.7.7", 1)))

				for i := range room {
					from := fmt.Sprintf("20.%d.1.1", i)
					b.Add(sourceAt(from), addrAt(from, 1))
				}
				require.Equal(t, c.left, crowded())
				pass(time.Second)
				answer()
				require.Equal(t, c.left, crowded(), "fresher answers push out only those of their network")
				require.Equal(t, room, b.Size())
			})
		})
	}
}

func TestAnyNumberAtOneHost(t *testing.T) {
	b := openBook(t, "", addrbook.WithAllowDuplicateIP(true))
	for i := range 100 {
		addr := addrAt("9.9.9.9", uint16(1000+i))
		require.True(t, b.Try(addr), i)
		b.MarkFailed(addr)
		b.MarkConnected(addrAt("9.9.9.9", uint16(5000+i)), true)
	}
	require.Equal(t, 100, b.Size())
}

func TestWhatTheBookDoesNotTake(t *testing.T) {
	self := *addrAt("1.2.3.4", 26656)
	b, err := addrbook.Open("", self)
	require.NoError(t, err)
	for name, addr := range map[string]*types.NetAddress{
		"nil":          nil,
		"own ID":       {ID: self.ID, IP: net.IPv4(5, 6, 7, 8), Port: 1},
		"own address":  addrAt("1.2.3.4", 26656),
		"no ID":        {IP: net.IPv4(5, 6, 7, 8), Port: 1},
		"no IP":        {ID: addrAt("::", 1).ID, Port: 1},
		"unresolved":   {ID: addrAt("::", 1).ID, Port: 1, Hostname: "localhost"},
		"port 0":       addrAt("5.6.7.8", 0),
		"unspecified":  addrAt("::", 1),
		"multicast":    addrAt("ff02::1", 1),
		"broadcast":    addrAt("255.255.255.255", 1),
		"documenation": addrAt("2001:db8::1", 1),
	} {
		require.Zero(t, b.Add(sourceAt("9.9.9.9"), addr), name)
		b.MarkConnected(addr, true)
		require.Zero(t, b.Size(), name)
	}
	b.MarkFailed(addrAt("5.6.7.8", 1))
	require.Zero(t, b.Size())
}

// Callers own what they give and get.
func TestBookKeepsCopies(t *testing.T) {
	b := openBook(t, "")
	addr := addrAt("1.2.3.4", 1)
	addr.Hostname = "node.example"
	want := addr.String()
	b.Add(sourceAt("9.9.9.9"), addr)
	addr.IP[len(addr.IP)-1], addr.Port = 9, 9
	got := b.Addresses()
	require.Equal(t, []string{want}, texts(got))
	require.Empty(t, got[0].Hostname)
	got[0].IP[len(got[0].IP)-1] = 9
	require.Equal(t, []string{want}, texts(b.Addresses()))
}

func TestMarkPrivateForgets(t *testing.T) {
	b := openBook(t, "")
	addr, other := addrAt("1.2.3.4", 1), addrAt("1.2.3.4", 2)
	b.MarkConnected(addr, true)
	b.MarkConnected(other, true)
	b.MarkPrivate(addr.ID)
	require.True(t, b.IsPrivate(addr.ID))
	require.False(t, b.IsPrivate(other.ID))
	require.Equal(t, []string{other.String()}, texts(b.Addresses()))
	b.MarkConnected(addr, true)
	require.Zero(t, b.Add(sourceAt("9.9.9.9"), addr))
	require.Equal(t, []string{other.String()}, texts(b.Addresses()))
}

// All methods at once, for the race detector.
func TestBookIsConcurrent(t *testing.T) {
	path := bookPath(t)
	b := openBook(t, path, addrbook.WithMaxPeers(50))
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			source := sourceAt("9.9.9.9")
			for i, addr := range addrsAt(fmt.Sprintf("20.%d", worker), 40) {
				b.Add(source, addr)
				b.Try(addr)
				b.MarkFailed(addr)
				b.MarkWrongID(addr, source.ID)
				b.MarkAnswered(addr, types.StackLibp2p)
				b.MarkConnected(addr, true)
				b.Configure(addr.ID)
				b.LearnKey(make([]byte, 32))
				b.LastStack(addr.ID)
				b.Of(addr.ID)
				if i%10 == 0 {
					b.MarkPrivate(addr.ID)
					if err := b.Flush(); err != nil {
						t.Error(err)
					}
				}
				b.Addresses()
			}
		})
	}
	wg.Wait()
	require.NoError(t, b.Flush())
	want := texts(b.Addresses())
	got := texts(openBook(t, path).Addresses())
	slices.Sort(want)
	slices.Sort(got)
	require.Equal(t, want, got)
}
