package addrbook_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The first to go are hints that fail, then hints, the oldest first, then those
// whose connection was the longest ago.
func TestEvictionOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make(map[string]string) // by address
		path := bookPath(t)
		b := openBook(t, path)
		step := func(name string, f func(*types.NetAddress)) {
			addr := addrAt(fmt.Sprintf("1.2.3.%d", len(names)+1), 1)
			names[addr.String()] = name
			f(addr)
			pass(time.Hour)
		}
		add := func(addr *types.NetAddress) { require.Equal(t, 1, b.Add(sourceAt("9.9.9.9"), addr)) }
		connected := func(addr *types.NetAddress) { b.MarkConnected(addr, true) }
		failed := func(addr *types.NetAddress, times int) {
			for range times {
				b.MarkFailed(addr)
				pass(time.Second)
			}
		}
		var seenAgain, connectedAgain *types.NetAddress
		step("verified, oldest", connected)
		step("verified, but fails today", func(a *types.NetAddress) { connected(a); failed(a, 3) })
		step("hint that fails", func(a *types.NetAddress) { add(a); failed(a, 5) })
		step("hint, seen again", func(a *types.NetAddress) { add(a); seenAgain = a })
		step("hint, oldest", add)
		step("hint that failed twice", func(a *types.NetAddress) { add(a); failed(a, 2) })
		step("hint, newest", add)
		step("verified, connected again", func(a *types.NetAddress) { connected(a); connectedAgain = a })
		step("verified, failed twice", func(a *types.NetAddress) { connected(a); failed(a, 2) })
		step("verified after failures", func(a *types.NetAddress) { add(a); failed(a, 9); connected(a) })
		require.Zero(t, b.Add(sourceAt("9.9.9.9"), seenAgain))
		b.MarkConnected(connectedAgain, true)

		order := func(b *addrbook.Book) (list []string) {
			for _, addr := range b.Addresses() {
				list = append(list, names[addr.String()])
			}

			return list
		}
		want := []string{
			"verified, connected again", "verified after failures", "verified, failed twice", "verified, but fails today", "verified, oldest",
			"hint, seen again", "hint, newest", "hint that failed twice", "hint, oldest",
			"hint that fails",
		}
		require.Equal(t, want, order(b))
		require.NoError(t, b.Flush())
		for n := len(want); n > 0; n-- {
			require.Equal(t, want[:n], order(openBook(t, path, addrbook.WithMaxPeers(n))), "room for %d", n)
		}
	})
}

// failForADay notes failed dials until a day after the first of them.
func failForADay(b *addrbook.Book, addr *types.NetAddress) {
	for range 13 {
		b.MarkDialFailed(addr, context.DeadlineExceeded)
		pass(2 * time.Hour)
	}
}

// A full book makes room for a hint only at the cost of what is worth less.
func TestFullBook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBook(t, "", addrbook.WithMaxPeers(2))
		verified, failing, hint := addrAt("1.2.3.4", 1), addrAt("1.2.3.4", 2), addrAt("1.2.3.4", 3)
		b.MarkConnected(verified, true)
		b.MarkConnected(failing, true)
		require.Zero(t, b.Add(sourceAt("9.9.9.9"), hint))
		for range 10 {
			b.MarkDialFailed(failing, context.DeadlineExceeded)
			pass(2 * time.Hour)
		}
		require.Zero(t, b.Add(sourceAt("9.9.9.9"), hint), "an outage of less than a day is nothing against a peer that has answered")
		failForADay(b, failing)
		require.Equal(t, 1, b.Add(sourceAt("9.9.9.9"), hint))
		require.Equal(t, texts([]*types.NetAddress{verified, hint}), texts(b.Addresses()))
		require.Equal(t, 2, b.Size())
	})
}

// What is given up is so after a restart too, and a dial without a route gives nothing up.
func TestRestartKeepsWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, failing, hint := bookPath(t), addrAt("1.2.3.4", 1), addrAt("1.2.3.5", 1)
		b := openBook(t, path)
		b.MarkConnected(failing, true)
		for range 11 {
			b.MarkDialFailed(failing, context.DeadlineExceeded)
			pass(2 * time.Hour)
		}
		b.Add(sourceAt("9.9.9.9"), hint)
		require.NoError(t, b.Flush())
		b = openBook(t, path)
		pass(2 * time.Hour)
		b.MarkDialFailed(failing, syscall.ENETUNREACH)
		require.Equal(t, texts([]*types.NetAddress{failing, hint}), texts(b.Addresses()))
		b.MarkDialFailed(failing, context.DeadlineExceeded)
		pass(time.Minute)
		b.MarkDialFailed(failing, context.DeadlineExceeded)
		require.Equal(t, texts([]*types.NetAddress{hint, failing}), texts(b.Addresses()))
	})
}

// That another peer has the address is no outage, except where peers share the address of a relay.
func TestAddressOfAnotherPeerIsGivenUp(t *testing.T) {
	for name, relayed := range map[string]bool{"its own": false, "of a relay": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := openBook(t, "")
				if relayed {
					b.AllowRelayed()
				}
				former, hint := addrAt("1.2.3.4", 1), addrAt("1.2.3.5", 1)
				b.MarkConnected(former, true)
				b.Add(sourceAt("9.9.9.9"), hint)
				order := texts([]*types.NetAddress{former, hint})
				for range 3 {
					require.Equal(t, order, texts(b.Addresses()))
					b.MarkWrongID(former, types.GenerateNodeKey().ID())
					pass(time.Minute)
				}
				if !relayed {
					order[0], order[1] = order[1], order[0]
				}
				require.Equal(t, order, texts(b.Addresses()))
			})
		})
	}
}

// Addresses that fail, though not for a day, keep half of a full book against hints.
func TestOutageLeavesRoomForHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 10
		b := openBook(t, "", addrbook.WithMaxPeers(room))
		for i := range room {
			addr := addrAt(fmt.Sprintf("20.%d.1.1", i), 1)
			b.MarkConnected(addr, true)
			for range 3 {
				b.MarkDialFailed(addr, context.DeadlineExceeded)
				pass(time.Minute)
			}
		}
		for i := range room {
			b.Add(sourceAt(fmt.Sprintf("30.%d.1.1", i)), addrAt(fmt.Sprintf("30.%d.1.1", i), 1))
		}
		answered := 0
		for _, addr := range b.Addresses() {
			if b.Of(addr.ID)[0].HasAnswered() {
				answered++
			}
		}
		require.Equal(t, room/2, answered)
		require.Equal(t, room, b.Size())
	})
}

// What fails gives way to a network beyond its share.
func TestShareIsNotLostToWhatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBook(t, "", addrbook.WithMaxPeers(10))
		dead := addrAt("8.8.8.8", 1)
		b.MarkConnected(dead, true)
		failForADay(b, dead)
		for _, addr := range addrsAt("9.9", 10) {
			b.MarkConnected(addr, true)
		}
		require.Equal(t, 10, b.Size())
		require.NotContains(t, texts(b.Addresses()), dead.String())
	})
}
