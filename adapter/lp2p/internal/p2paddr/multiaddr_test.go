package p2paddr

import (
	"net"
	"testing"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/stretchr/testify/require"
)

// Multiaddrs are made in binary form, and equal what their text means to libp2p.
func TestMultiaddrsEqualTheirText(t *testing.T) {
	for _, ip := range []string{"1.2.3.4", "::ffff:1.2.3.4", "0.0.0.0", "2001:db8::1", "::"} {
		kind := "/ip4/"
		if net.ParseIP(ip).To4() == nil {
			kind = "/ip6/"
		}
		text := kind + net.ParseIP(ip).String()
		tcp, err := TCPMultiaddr(net.ParseIP(ip), 26656)
		require.NoError(t, err)
		require.True(t, tcp.Equal(multiaddr.StringCast(text+"/tcp/26656")), "%s", tcp)
		quic, err := QUICMultiaddr(net.ParseIP(ip), 65535)
		require.NoError(t, err)
		require.True(t, quic.Equal(multiaddr.StringCast(text+"/udp/65535/quic-v1")), "%s", quic)
	}
	for _, ip := range []net.IP{nil, {1, 2, 3}} {
		_, err := TCPMultiaddr(ip, 1)
		require.ErrorContains(t, err, "has no IP")
	}
}

func TestMultiaddrOfAnEndOfAConnection(t *testing.T) {
	for _, addr := range []*net.TCPAddr{
		{IP: net.IPv4(1, 2, 3, 4), Port: 5}, {IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 5},
	} {
		got, err := FromTCPAddr(addr)
		require.NoError(t, err)
		want, err := manet.FromNetAddr(addr)
		require.NoError(t, err)
		require.True(t, got.Equal(want), "%s, not %s", got, want)
	}
}
