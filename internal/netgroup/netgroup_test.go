package netgroup

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKindOf(t *testing.T) {
	for kind, ips := range map[Kind][]string{
		Public: {
			"8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.0.1.1", "198.17.255.255", "223.255.255.255",
			"2606:4700::1", "2a00::1", "2001:200::1", "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::808:808",
			"2002:808:808::1", "2001:0:1:2:3:4:f7f7:f7f7",
		},
		Loopback: {"127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"},
		LinkLocal: {
			"169.254.169.254", "fe80::1", "fe80::1%eth0", "febf::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::",
		},
		Private: {
			"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12::1", "::ffff:10.0.0.1", "::10.0.0.1",
			"::ffff:0:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:1:2:3:4:f5ff:fffe",
		},
		Shared: {"100.64.0.1", "100.100.100.200", "100.127.255.255", "64:ff9b::6464:64c8"},
		Reserved: {
			"0.0.0.0", "0.1.2.3", "192.0.0.1", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
			"224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
			"::", "::2", "::0.1.2.3", "64:ff9b:1::a00:1", "64:ff9b:1:808:8:800::", "100::1", "100:0:0:1::1", "2001:10::1", "2001:20::1", "2001:2::1",
			"2001:db8::1", "3fff::1", "5f00::1", "fec0::1", "ff02::1", "64:ff9b::c612:1", "2002:f000:1::",
		},
	} {
		for _, ip := range ips {
			require.Equal(t, kind, KindOf(netip.MustParseAddr(ip)), ip)
		}
	}
	require.Equal(t, Reserved, KindOf(netip.Addr{}))
}

func TestMayDial(t *testing.T) {
	for _, c := range []struct {
		ip, from, own string
		dial, tell    bool
	}{
		{"8.8.8.8", "9.9.9.9", "7.7.7.7", true, true},
		{"8.8.8.8", "10.0.0.1", "", true, true},
		{"2606:4700::1", "9.9.9.9", "", true, true},
		{"127.0.0.1", "127.0.0.2", "", true, true},
		{"::1", "127.0.0.2", "", true, true},
		{"127.0.0.1", "10.0.0.1", "10.0.0.2", false, false},
		{"10.0.0.1", "127.0.0.1", "10.0.0.2", false, false},
		{"192.168.1.1", "10.0.0.1", "172.16.0.1", true, true},
		{"fd00::1", "10.0.0.1", "fd00::2", true, true},
		{"192.168.1.1", "10.0.0.1", "7.7.7.7", false, true},
		{"192.168.1.1", "10.0.0.1", "0.0.0.0", false, true},
		{"192.168.1.1", "10.0.0.1", "", false, true},
		{"192.168.1.1", "9.9.9.9", "10.0.0.2", false, false},
		{"100.64.0.1", "100.64.0.2", "100.64.0.3", true, true},
		{"100.64.0.1", "10.0.0.1", "10.0.0.2", false, false},
		{"169.254.169.254", "169.254.1.1", "169.254.1.2", false, false},
		{"fe80::1", "fe80::2", "fe80::3", false, false},
		{"64:ff9b::a00:1", "9.9.9.9", "7.7.7.7", false, false},
		{"2002:7f00:1::", "9.9.9.9", "7.7.7.7", false, false},
		{"240.0.0.1", "240.0.0.2", "240.0.0.3", false, false},
		{"198.18.0.1", "9.9.9.9", "", false, false},
		{"::ffff:10.0.0.1", "::ffff:10.0.0.2", "::ffff:10.0.0.3", true, true},
		{"64:ff9b::a00:1", "10.0.0.2", "10.0.0.3", false, false},
		{"2002:7f00:1::", "127.0.0.1", "127.0.0.1", false, false},
		{"::10.0.0.1", "10.0.0.2", "10.0.0.3", false, false},
		{"2002:808:808::1", "9.9.9.9", "", true, true},
		{"", "9.9.9.9", "", false, false},
		{"10.0.0.1", "", "10.0.0.2", false, false},
	} {
		ip, from, own := parse(c.ip), parse(c.from), parse(c.own)
		require.Equal(t, c.dial, MayDial(ip, from, own), "%+v", c)
		require.Equal(t, c.tell, MayTell(ip, from), "%+v", c)
	}
}

func parse(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}

	return netip.MustParseAddr(s)
}

func TestHost(t *testing.T) {
	for ip, want := range map[string]string{
		"10.0.0.1":            "10.0.0.1",
		"::ffff:10.0.0.1":     "10.0.0.1",
		"2002:808:808::1":     "8.8.8.8",
		"2a00:db8:0:1::1":     "2a00:db8:0:1::/64",
		"2a00:db8:0:1:ffff::": "2a00:db8:0:1::/64",
		"2a00:db8:0:2::1":     "2a00:db8:0:2::/64",
		"fe80::1%eth0":        "fe80::/64",
		"::1":                 "::/64",
		"::2":                 "::/64",
	} {
		require.Equal(t, want, Name(Host(netip.MustParseAddr(ip))), ip)
	}
	require.False(t, Host(netip.Addr{}).IsValid())
	for _, local := range []string{"127.0.0.1", "10.0.0.1", "100.64.0.1", "fe80::1", "fd00::1"} {
		require.False(t, PublicHost(netip.MustParseAddr(local)).IsValid(), local)
	}
	require.False(t, PublicHost(netip.Addr{}).IsValid())
	require.Equal(t, "2.3.4.5/32", PublicHost(netip.MustParseAddr("2.3.4.5")).String())
	require.Equal(t, "invalid Prefix", Name(Host(netip.Addr{})))
}

func TestNetwork(t *testing.T) {
	for ip, want := range map[string]string{
		"9.8.7.6":         "9.8.0.0/16",
		"::ffff:9.8.7.6":  "9.8.0.0/16",
		"2600:1:2::1":     "2600:1::/32",
		"2002:908:706::1": "9.8.0.0/16",
		"10.0.0.1":        "invalid Prefix",
		"127.0.0.1":       "invalid Prefix",
		"fd00::1":         "invalid Prefix",
		"100.64.0.1":      "invalid Prefix",
	} {
		require.Equal(t, want, Name(Network(netip.MustParseAddr(ip))), ip)
	}
	require.False(t, Network(netip.Addr{}).IsValid())
}

func TestAround(t *testing.T) {
	for ip, want := range map[string][Widths]string{
		"127.1.2.3":            {"127.1.0.0/16", "127.1.2.0/24", "127.1.2.3/32"},
		"2002:908:706::1":      {"9.8.0.0/16", "9.8.7.0/24", "9.8.7.6/32"},
		"::ffff:8.9.10.11":     {"8.9.0.0/16", "8.9.10.0/24", "8.9.10.11/32"},
		"2001:db8:1:2:3:4:5:6": {"2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:2::/64"},
	} {
		for i, network := range Around(netip.MustParseAddr(ip)) {
			require.Equal(t, want[i], network.String())
		}
	}
	require.Zero(t, Around(netip.Addr{}))
}

func TestFrom(t *testing.T) {
	require.Equal(t, netip.MustParseAddr("1.2.3.4"), FromIP(net.ParseIP("1.2.3.4")))
	require.Equal(t, netip.MustParseAddr("1.2.3.4"), FromIP(net.IP{1, 2, 3, 4}), "of either length")
	for _, none := range []net.IP{nil, {}, {1, 2, 3}} {
		require.False(t, FromIP(none).IsValid())
	}
	require.Equal(t, netip.MustParseAddr("::1"), FromAddr(&net.TCPAddr{IP: net.IPv6loopback}))
	require.Equal(t, netip.MustParseAddr("1.2.3.4"), FromAddr(&net.UDPAddr{IP: net.IP{1, 2, 3, 4}}))
	require.False(t, FromAddr(&net.UnixAddr{}).IsValid())
}
