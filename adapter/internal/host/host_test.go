package host

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOf(t *testing.T) {
	for ip, want := range map[string]string{
		"10.0.0.1":            "10.0.0.1",
		"::ffff:10.0.0.1":     "10.0.0.1",
		"2001:db8:0:1::1":     "2001:db8:0:1::/64",
		"2001:db8:0:1:ffff::": "2001:db8:0:1::/64",
		"2001:db8:0:2::1":     "2001:db8:0:2::/64",
		"::1":                 "::/64",
	} {
		require.Equal(t, want, Name(Of(net.ParseIP(ip))), ip)
	}
	require.Equal(t, Of(net.IP{10, 0, 0, 1}), Of(net.ParseIP("10.0.0.1")), "of either length")
	for _, none := range []net.IP{nil, {}, {1, 2, 3}} {
		require.False(t, Of(none).IsValid())
		require.Equal(t, "invalid Prefix", Name(Of(none)))
	}
}
