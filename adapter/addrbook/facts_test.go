package addrbook_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// moved is the address of the same peer at another port.
func moved(addr *types.NetAddress, port uint16) *types.NetAddress {
	return &types.NetAddress{ID: addr.ID, IP: addr.IP, Port: port}
}

func addrsOf(b *addrbook.Book, id types.ID) (addrs []string) {
	for _, e := range b.Of(id) {
		addrs = append(addrs, e.Addr.String())
	}

	return addrs
}

// The anchors come after configured addresses, and before others that have answered since.
func TestAnchors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBook(t, "")
		addrs := []*types.NetAddress{addrAt("1.2.3.4", 1), addrAt("1.2.3.5", 1), addrAt("1.2.3.6", 1), addrAt("1.2.3.7", 1)}
		for _, addr := range addrs {
			b.MarkAnswered(addr, types.StackNative)
			pass(time.Second)
		}
		b.SetAnchors(*addrs[0], *addrAt("9.9.9.9", 1))
		b.SetAnchors()
		require.Equal(t, texts([]*types.NetAddress{addrs[0], addrs[3], addrs[2], addrs[1]}), texts(b.Addresses()))
		b.SetAnchors(*addrs[1])
		b.Configure(addrs[2].ID, *addrs[2])
		require.Equal(t, texts([]*types.NetAddress{addrs[2], addrs[1], addrs[3], addrs[0]}), texts(b.Addresses()))
		failForADay(b, addrs[1])
		require.Equal(t, addrs[1].String(), texts(b.Addresses())[3])
	})
}

// Of one peer's addresses the configured one comes first, then where it has answered,
// then what it says itself, then what others say.
func TestFactsOfAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBook(t, "")
		configured := addrAt("1.2.3.4", 1)
		answered, announced, told := moved(configured, 2), moved(configured, 3), moved(configured, 4)
		b.Configure(configured.ID, *configured)
		b.MarkAnswered(answered, types.StackLibp2p)
		begun := time.Now()
		pass(time.Second)
		self := addrbook.Source{ID: configured.ID, IP: net.IPv4(1, 2, 3, 4)}
		require.Equal(t, 1, b.Add(self, announced))
		pass(time.Second)
		other := sourceAt("9.9.9.9")
		require.Zero(t, b.Add(other, told), "there are three already")

		for _, e := range b.Entries() {
			require.Equal(t, e.Addr.Equals(*answered), e.HasAnswered())
		}
		entries := b.Of(configured.ID)
		require.Equal(t, texts([]*types.NetAddress{configured, answered, announced}), addrsOf(b, configured.ID))
		require.True(t, entries[0].Configured)
		require.False(t, entries[0].HasAnswered())
		require.Equal(t, begun, entries[1].Answered)
		require.False(t, entries[1].Announced())
		require.True(t, entries[2].Announced())
		require.Equal(t, begun.Add(time.Second), entries[2].Seen)

		// The peer confirms what another has told.
		peer := addrAt("5.6.7.8", 1)
		require.Equal(t, 1, b.Add(other, peer))
		require.Equal(t, other.ID, b.Of(peer.ID)[0].Source)
		require.Zero(t, b.Add(addrbook.Source{ID: peer.ID}, peer))
		require.True(t, b.Of(peer.ID)[0].Announced())
		require.Zero(t, b.Add(other, peer))
		require.True(t, b.Of(peer.ID)[0].Announced(), "and others take nothing back")

		entries[0].Addr.IP[15] = 9
		require.Equal(t, configured.String(), addrsOf(b, configured.ID)[0], "callers own what they get")
		require.Empty(t, b.Of(addrAt("1.2.3.4", 1).ID))
	})
}

// What the operator names stays however much is told and however often it fails, until
// something else is named for the peer.
func TestConfiguredAddressesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBook(t, "", addrbook.WithMaxPeers(10))
		configured := addrsAt("9.9", 12)
		for i, addr := range configured {
			addr.IP, addr.Port = net.IPv4(9, 9, 9, 9), uint16(1000+i)
			b.Configure(addr.ID, *addr)
			for range 5 {
				b.MarkFailed(addr)
				pass(time.Second)
			}
		}
		for _, addr := range addrsAt("20.1", 20) {
			b.MarkConnected(addr, true)
		}
		require.ElementsMatch(t, texts(configured), texts(b.Addresses()))

		first := configured[0]
		b.Configure(first.ID, *moved(first, 9999), *addrAt("1.2.3.4", 1), types.NetAddress{ID: first.ID, Hostname: "localhost", Port: 1})
		require.Equal(t, []string{moved(first, 9999).String()}, addrsOf(b, first.ID), "the former one had no room any more")
		require.Equal(t, 12, b.Size())
		for _, addr := range configured {
			b.Configure(addr.ID)
		}
		b.Add(sourceAt("9.9.9.9"), addrAt("1.2.3.4", 2))
		require.Equal(t, 8+1, b.Size(), "8 at one host, as for others")
	})
}

// Two parts of a node that dial an address at the same time have one dial, whose failure
// counts once.
func TestSharedDialsFailOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBook(t, "")
		addr := addrAt("1.2.3.4", 1)
		b.MarkAnswered(addr, types.StackLibp2p)
		for failures := 1; failures <= 3; failures++ {
			b.MarkFailed(addr)
			pass(time.Millisecond)
			b.MarkDialFailed(addr, syscall.ECONNREFUSED)
			require.Equal(t, failures, b.Of(addr.ID)[0].Failures)
			pass(time.Second)
		}
	})
}

// An address that failed is due again after 10 s, doubled with each failure, and at
// once when it answers.
func TestFailedAddressesAreDueLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBook(t, "")
		addr := addrAt("1.2.3.4", 1)
		b.MarkAnswered(addr, types.StackNative)
		for _, wait := range []time.Duration{10, 20, 40, 80, 160, 320, 600, 600} {
			require.True(t, b.Of(addr.ID)[0].Due(time.Now()))
			b.MarkFailed(addr)
			pass(wait*time.Second - 1)
			require.False(t, b.Of(addr.ID)[0].Due(time.Now()))
			require.Empty(t, b.Dialable([]*types.NetAddress{addr}))
			pass(1)
			require.Len(t, b.Dialable([]*types.NetAddress{addr}), 1)
		}
		b.MarkFailed(addr)
		b.MarkAnswered(addr, types.StackNative)
		require.True(t, b.Of(addr.ID)[0].Due(time.Now()))
	})
}

// A dial without a route makes the address wait, however often, as long as one failure does.
func TestWithoutARouteTheWaitDoesNotGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBook(t, "")
		addr := addrAt("1.2.3.4", 1)
		b.MarkAnswered(addr, types.StackNative)
		for range 10 {
			require.True(t, b.Of(addr.ID)[0].Due(time.Now()))
			b.MarkDialFailed(addr, syscall.ENETUNREACH)
			require.False(t, b.Of(addr.ID)[0].Due(time.Now()))
			pass(10 * time.Second)
		}
		require.True(t, b.Of(addr.ID)[0].Due(time.Now()))

		hint := addrAt("5.6.7.8", 1)
		for range 20 {
			require.True(t, b.Try(hint), "it is no failed dial of a hint either")
			b.MarkDialFailed(hint, syscall.ENETUNREACH)
		}
	})
}

// Where somebody else answers nobody is looked for but who answers.
func TestWrongIDs(t *testing.T) {
	b := openBook(t, "")
	wrong, owner := addrAt("1.2.3.4", 1), addrAt("1.2.3.4", 1)
	b.Add(sourceAt("9.9.9.9"), wrong)
	b.MarkWrongID(wrong, owner.ID)
	require.Equal(t, 1, b.Of(wrong.ID)[0].Failures)
	require.False(t, b.Try(wrong))
	require.True(t, b.Try(owner))
	require.Empty(t, b.Of(owner.ID), "that it is another one says nothing about whether it is of use")
	require.Empty(t, b.Dialable([]*types.NetAddress{wrong}))
}

// Only what says something about an address counts against it, and whoever answers there
// instead is noted, also without a TM2 ID.
func TestFailuresThatCount(t *testing.T) {
	for name, c := range map[string]struct {
		err      error
		failures int
		taken    bool
	}{
		"nobody answers":           {syscall.ECONNREFUSED, 1, false},
		"nobody answers in time":   {context.DeadlineExceeded, 1, false},
		"no file descriptors":      {syscall.EMFILE, 0, false},
		"no route":                 {syscall.ENETUNREACH, 0, false},
		"no route of a router":     {&net.OpError{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, Err: syscall.ENETUNREACH}, 1, false},
		"no resources":             {compat.ErrNoResources, 0, false},
		"another node":             {&compat.WrongIDError{Found: types.GenerateNodeKey().ID()}, 1, true},
		"a peer without a TM2 ID":  {&compat.WrongIDError{FoundPeer: "QmPeer"}, 1, true},
		"another network":          {&compat.RejectError{Code: compat.RejectIncompatible, Remote: true}, 1, false},
		"no room for handshakes":   {compat.ErrBusy, 0, false},
		"full":                     {&compat.RejectError{Code: compat.RejectFull, Remote: true}, 0, false},
		"shutting down":            {&compat.RejectError{Code: compat.RejectClosing, Remote: true}, 0, false},
		"connected already":        {compat.Reject(compat.RejectDuplicate, ""), 0, false},
		"the caller has cancelled": {context.Canceled, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, addr := openBook(t, ""), addrAt("1.2.3.4", 5)
			require.Equal(t, 1, b.Add(addrbook.Source{ID: addr.ID}, addr))
			b.MarkDialFailed(addr, fmt.Errorf("unable to dial: %w", c.err))
			require.Equal(t, c.failures, b.Of(addr.ID)[0].Failures)
			require.Equal(t, !c.taken, b.Try(addr))
		})
	}
}

// The stack and the key of a peer are known wherever it is, and after a restart as long
// as it has an address in the book.
func TestStacksAndKeys(t *testing.T) {
	path := bookPath(t)
	b := openBook(t, path)
	key := types.GenerateNodeKey()
	pub := key.PrivKey.Public().(ed25519.PublicKey)
	addr, other := addrAt("1.2.3.4", 1), addrAt("1.2.3.4", 2)
	addr.ID = key.ID()
	require.Empty(t, b.LastStack(addr.ID))
	require.Nil(t, b.Key(addr.ID))
	b.MarkAnswered(addr, types.StackNative)
	b.MarkAnswered(moved(addr, 3), types.StackLibp2p)
	b.MarkConnected(other, true)
	b.LearnKey(pub)
	require.Equal(t, types.StackLibp2p, b.LastStack(addr.ID))
	require.Equal(t, pub, b.Key(addr.ID))
	require.NoError(t, b.Flush())

	b = openBook(t, path)
	require.Equal(t, types.StackLibp2p, b.LastStack(addr.ID))
	require.Equal(t, pub, b.Key(addr.ID))
	require.Empty(t, b.LastStack(other.ID))
	require.Nil(t, b.Key(other.ID))

	bad := openBook(t, written(t, `{"peers":[{"addr":"`+idA+`@1.2.3.4:1","key":"AAAA","stack":"other"}]}`))
	require.Equal(t, 1, bad.Size())
	require.Empty(t, bad.LastStack(idA))
	require.Nil(t, bad.Key(idA))
}

// Whoever is known to be at a place keeps out what others say is there.
func TestNobodyElseIsToldToBeThere(t *testing.T) {
	b := openBook(t, "")
	owner := addrAt("1.2.3.4", 1)
	b.MarkAnswered(owner, types.StackNative)
	for range 10 {
		require.Zero(t, b.Add(sourceAt("9.9.9.9"), addrAt("1.2.3.4", 1)))
	}
	require.Equal(t, 1, b.Add(sourceAt("9.9.9.9"), addrAt("1.2.3.4", 2)))
	b.MarkFailed(owner)
	require.Equal(t, 1, b.Add(sourceAt("9.9.9.9"), addrAt("1.2.3.4", 1)), "it is not there any more")
}

// What a peer announces from the announced IP is worth more than what is announced, or
// told, from another one, however new that is, and each counts for the network of its source.
func TestWhoIsThereComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openBook(t, "")
		there, elsewhere, told, found := addrAt("1.2.3.4", 1), addrAt("1.2.3.4", 1), addrAt("1.2.3.4", 1), addrAt("2.3.4.5", 1)
		b.Add(addrbook.Source{ID: there.ID, IP: there.IP}, there)
		pass(time.Second)
		b.Add(addrbook.Source{ID: elsewhere.ID, IP: net.ParseIP("8.8.4.4")}, elsewhere)
		pass(time.Second)
		b.Add(addrbook.Source{ID: found.ID, IP: net.ParseIP("9.9.9.9")}, told)
		require.Equal(t, texts([]*types.NetAddress{there, elsewhere, told}), texts(b.Addresses()))

		b.MarkAnswered(found, types.StackLibp2p)
		for addr, want := range map[*types.NetAddress]string{
			there: "1.2.0.0/16", elsewhere: "8.8.0.0/16", told: "9.9.0.0/16", found: "2.3.0.0/16",
		} {
			entries := b.Of(addr.ID)
			require.Len(t, entries, 1)
			require.Equal(t, want, entries[0].SourceNetwork())
		}
		local := addrAt("10.0.0.1", 1)
		b.MarkAnswered(local, types.StackLibp2p)
		require.Empty(t, b.Of(local.ID)[0].SourceNetwork())
	})
}
