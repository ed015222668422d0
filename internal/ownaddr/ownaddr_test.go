package ownaddr_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/ownaddr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ips(texts ...string) (ips []netip.Addr) {
	for _, text := range texts {
		ips = append(ips, netip.MustParseAddr(text))
	}

	return ips
}

// A name that does not resolve is looked up at growing distances, and one that does from
// time to time. Only changes are reported, and only the first of several failures.
func TestNameIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := dnstest.Install(t)
		ctx, cancel := context.WithCancel(t.Context())
		var found [][]netip.Addr
		var log bytes.Buffer
		failures := func() int { return strings.Count(log.String(), "level=WARN") }
		done := make(chan struct{})
		go func() {
			defer close(done)
			ownaddr.Name{
				Host:   "node.example",
				Found:  func(ips []netip.Addr) { found = append(found, ips) },
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			}.Follow(ctx)
		}()
		asked := func() int { synctest.Wait(); return names.Queries("node.example") }
		require.Equal(t, 1, asked())
		for _, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
			before := asked()
			time.Sleep(wait*time.Second - 1)
			require.Equal(t, before, asked(), wait)
			time.Sleep(time.Nanosecond)
			require.Equal(t, before+1, asked(), wait)
		}
		require.Empty(t, found)
		require.Equal(t, 1, failures())

		names.Set("node.example", net.ParseIP("2a00::1"), net.IPv4(5, 6, 7, 8), net.IPv4zero)
		time.Sleep(5 * time.Minute)
		asked()
		require.Equal(t, [][]netip.Addr{ips("5.6.7.8", "2a00::1")}, found)
		time.Sleep(time.Hour)
		before := asked()
		require.Len(t, found, 1, "nothing has changed")
		time.Sleep(time.Hour)
		require.Equal(t, int(time.Hour/ownaddr.DefaultInterval), asked()-before)

		names.Set("node.example") // for some time
		time.Sleep(ownaddr.DefaultInterval)
		asked()
		require.Equal(t, 2, failures())
		require.Len(t, found, 1, "the last ones hold")
		names.Set("node.example", net.IPv4(5, 6, 7, 9))
		time.Sleep(time.Second)
		asked()
		require.Equal(t, ips("5.6.7.9"), found[1])
		cancel()
		<-done
	})
}

func TestChoose(t *testing.T) {
	both := ips("5.6.7.8", "5.6.7.9", "2a00::1")
	require.Equal(t, both[0], ownaddr.Choose(both, netip.Addr{}))
	require.Equal(t, both[1], ownaddr.Choose(both, both[1]), "it does not change without need")
	require.Equal(t, both[0], ownaddr.Choose(both, both[2]), "the IPv4 address is there again")
	require.Equal(t, both[2], ownaddr.Choose(both[2:], both[2]))
	require.Equal(t, both[2], ownaddr.Choose(both[2:], both[0]))
	require.False(t, ownaddr.Choose(nil, both[0]).IsValid())
}

func TestPublic(t *testing.T) {
	var addrs []net.Addr
	for _, text := range []string{"127.0.0.1/8", "2a00::1/64", "10.0.0.1/8", "5.6.7.8/24", "fe80::1/64", "100.64.0.1/10", "::1/128"} {
		ip, network, err := net.ParseCIDR(text)
		require.NoError(t, err)
		network.IP = ip
		addrs = append(addrs, network)
	}
	require.Equal(t, ips("5.6.7.8", "2a00::1"), ownaddr.Public(addrs))
}
