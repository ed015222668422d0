package dnstest_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNamesComeMoveAndGo(t *testing.T) {
	names := dnstest.Install(t)
	var unresolved *net.DNSError
	_, err := net.DefaultResolver.LookupHost(t.Context(), "node.example")
	require.ErrorAs(t, err, &unresolved)
	require.True(t, unresolved.IsNotFound)
	require.Equal(t, 1, names.Queries("node.example"))

	for _, ip := range []string{"127.0.0.1", "127.0.0.2"} {
		names.Set("node.example", net.ParseIP(ip))
		got, err := net.DefaultResolver.LookupHost(t.Context(), "node.example")
		require.NoError(t, err)
		require.Equal(t, []string{ip}, got)
	}
	names.Set("node.example", nil)
	_, err = net.DefaultResolver.LookupHost(t.Context(), "node.example")
	require.ErrorAs(t, err, &unresolved)
	require.Equal(t, 4, names.Queries("node.example"))
}

func TestNamesWithAddressesOfBothFamilies(t *testing.T) {
	names := dnstest.Install(t)
	for _, ips := range [][]string{{"127.0.0.1", "127.0.0.2"}, {"::1"}, {"127.0.0.1", "::1", "2001:db8::1"}} {
		parsed := make([]net.IP, len(ips))
		for i, ip := range ips {
			parsed[i] = net.ParseIP(ip)
		}
		names.Set("node.example", parsed...)
		got, err := net.DefaultResolver.LookupHost(t.Context(), "node.example")
		require.NoError(t, err)
		require.ElementsMatch(t, ips, got)
	}
}

// A look-up that outlives its test finds nobody to ask.
func TestLateLookUpFails(t *testing.T) {
	t.Run("test", func(t *testing.T) {
		dnstest.Install(t).Set("node.example", net.ParseIP("127.0.0.1"))
	})
	_, err := net.DefaultResolver.LookupHost(t.Context(), "node.example")
	require.ErrorContains(t, err, "the test has ended")
	dnstest.Install(t).Set("node.example", net.ParseIP("127.0.0.1"))
	_, err = net.DefaultResolver.LookupHost(t.Context(), "node.example")
	require.NoError(t, err)
}
