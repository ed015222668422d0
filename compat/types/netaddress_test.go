package types_test

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func parse(tb testing.TB, hostPort string) *types.NetAddress {
	tb.Helper()

	na, err := types.ParseNetAddress(types.NetAddressString(testID, hostPort))
	require.NoError(tb, err)

	return na
}

func TestParseNetAddress(t *testing.T) {
	id := testID.String()

	for in, want := range map[string]string{
		id + "@1.2.3.4:26656":          id + "@1.2.3.4:26656",
		"tcp://" + id + "@1.2.3.4:1":   id + "@1.2.3.4:1",
		id + "@1.2.3.4:00080":          id + "@1.2.3.4:80",
		id + "@[::ffff:1.2.3.4]:65535": id + "@1.2.3.4:65535",
		id + "@[2001:DB8:0::1]:0":      id + "@[2001:db8::1]:0",
		id + "@[::]:1":                 id + "@[::]:1",
	} {
		na, err := types.ParseNetAddress(in)
		require.NoError(t, err, in)
		require.Equal(t, want, na.String())
		require.Empty(t, na.Hostname)
	}
}

func TestParseNetAddressRefuses(t *testing.T) {
	id := testID.String()

	for in, want := range map[string]error{
		"":                             types.ErrInvalidNetAddress,
		id:                             types.ErrInvalidNetAddress,
		"1.2.3.4:1":                    types.ErrInvalidNetAddress,
		id + "@@1.2.3.4:1":             types.ErrInvalidNetAddress,
		id + "@" + id + "@1.2.3.4:1":   types.ErrInvalidNetAddress,
		id + "@1.2.3.4":                types.ErrInvalidNetAddress,
		id + "@1.2.3.4:":               types.ErrInvalidNetAddress,
		id + "@1.2.3.4:65536":          types.ErrInvalidNetAddress,
		id + "@1.2.3.4:-1":             types.ErrInvalidNetAddress,
		id + "@1.2.3.4:+1":             types.ErrInvalidNetAddress,
		id + "@1.2.3.4:0x1":            types.ErrInvalidNetAddress,
		id + "@::1:1":                  types.ErrInvalidNetAddress,
		id + "@1.2.3.4:1://x":          types.ErrInvalidNetAddress,
		"@1.2.3.4:1":                   types.ErrInvalidID,
		"tcp://junk@1.2.3.4:1":         types.ErrInvalidID,
		id + "@:1":                     types.ErrEmptyHost,
		id + "@localhost:1":            types.ErrHostnameNotIP,
		id + "@1.2.3.04:1":             types.ErrHostnameNotIP,
		id + "@[fe80::1%eth0]:1":       types.ErrHostnameNotIP,
		strings.Repeat("x", 2000):      types.ErrInvalidNetAddress,
		id + "@1.2.3.4:" + zeros(1000): types.ErrInvalidNetAddress,
	} {
		na, err := types.ParseNetAddress(in)
		require.ErrorIs(t, err, want, in)
		require.Nil(t, na)
	}
}

func zeros(n int) string { return strings.Repeat("0", n) }

type otherAddr struct{ net.Addr }

func (otherAddr) String() string { return "other" }

func TestNewNetAddress(t *testing.T) {
	socket := tcpAddr("1.2.3.4", 5)

	na, err := types.NewNetAddress(testID, socket)
	require.NoError(t, err)
	require.Equal(t, testID.String()+"@1.2.3.4:5", na.String())

	socket.IP[15] = 9

	require.Equal(t, "1.2.3.4:5", na.DialString(), "shares the socket's IP")

	_, err = types.NewNetAddress(testID, otherAddr{})
	require.ErrorIs(t, err, types.ErrInvalidTCPAddress)

	_, err = types.NewNetAddress(testID, (*net.TCPAddr)(nil))
	require.ErrorIs(t, err, types.ErrInvalidTCPAddress)

	_, err = types.NewNetAddress(testID, tcpAddr("1.2.3.4", 70_000))
	require.ErrorIs(t, err, types.ErrInvalidTCPAddress)

	_, err = types.NewNetAddress("junk", socket)
	require.ErrorIs(t, err, types.ErrInvalidID)
}

func TestNetAddressText(t *testing.T) {
	var missing *types.NetAddress

	require.Equal(t, "<nil-NetAddress>", missing.String())
	require.Equal(t, "<nil-NetAddress>", missing.DialString())
	require.Equal(t, "1.2.3.4:5", types.NewNetAddressFromIPPort(net.IPv4(1, 2, 3, 4), 5).String())

	unresolved := types.NetAddress{ID: testID, Hostname: "node.example", Port: 5}
	require.Equal(t, testID.String()+"@node.example:5", unresolved.String())

	resolved := types.NetAddress{ID: testID, Hostname: "node.example", IP: net.IPv4(1, 2, 3, 4), Port: 5}
	require.Equal(t, testID.String()+"@1.2.3.4:5", resolved.String(), "the name leaves the node")

	require.Equal(t, "id@host:1", types.NetAddressString("id", "tcp://host:1"))
}

func TestNetAddressComparison(t *testing.T) {
	var (
		na        = parse(t, "1.2.3.4:5")
		mapped    = parse(t, "[::ffff:1.2.3.4]:5")
		otherPort = parse(t, "1.2.3.4:6")
		noID      = types.NewNetAddressFromIPPort(net.IPv4(1, 2, 3, 4), 5)
		elsewhere = types.NewNetAddressFromIPPort(net.IPv4(4, 3, 2, 1), 5)
	)

	require.True(t, na.Equals(*mapped))
	require.False(t, na.Equals(*otherPort))
	require.False(t, na.Equals(*noID))

	require.True(t, na.Same(*otherPort), "same id")
	require.True(t, na.Same(*noID), "same socket")
	require.False(t, noID.Same(*elsewhere), "empty ids are not the same")

	var missing *types.NetAddress

	require.False(t, missing.Same(*na))
	require.False(t, missing.Equals(*na))
}

func TestNetAddressValidate(t *testing.T) {
	require.NoError(t, parse(t, "127.0.0.1:1").Validate())
	require.NoError(t, parse(t, "224.0.0.1:0").Validate())
	require.ErrorIs(t, parse(t, "[::]:1").Validate(), types.ErrUnspecifiedIP)
	require.ErrorIs(t, parse(t, "255.255.255.255:1").Validate(), types.ErrInvalidIP)

	var missing *types.NetAddress

	require.ErrorIs(t, missing.Validate(), types.ErrInvalidNetAddress)

	bare := types.NewNetAddressFromIPPort(net.IPv4(1, 2, 3, 4), 5)
	require.ErrorIs(t, bare.Validate(), types.ErrInvalidID)

	bare.ID, bare.IP = testID, nil
	require.ErrorIs(t, bare.Validate(), types.ErrUnsetIPAddress)

	bare.IP = net.IP{1, 2, 3}
	require.ErrorIs(t, bare.Validate(), types.ErrInvalidIP)
}

func TestNetAddressRanges(t *testing.T) {
	type na = *types.NetAddress

	ranges := map[string]func(na) bool{
		"1918": na.RFC1918, "3849": na.RFC3849, "3927": na.RFC3927, "3964": na.RFC3964,
		"4193": na.RFC4193, "4380": na.RFC4380, "4843": na.RFC4843, "4862": na.RFC4862,
		"6052": na.RFC6052, "6145": na.RFC6145, "local": na.Local, "routable": na.Routable,
	}

	for ip, want := range map[string]string{
		"8.8.8.8":           "routable",
		"10.255.0.1":        "1918",
		"172.16.0.1":        "1918",
		"172.31.255.255":    "1918",
		"172.32.0.0":        "routable",
		"192.168.1.1":       "1918",
		"::ffff:10.0.0.1":   "1918",
		"169.254.1.1":       "3927",
		"127.1.2.3":         "local",
		"0.1.2.3":           "local",
		"::1":               "local",
		"2001:db8::1":       "3849",
		"2002::1":           "3964 routable",
		"fd00::1":           "4193",
		"2001::1":           "4380 routable",
		"2001:10::1":        "4843",
		"2001:1f:ffff::1":   "4843",
		"fe80::1":           "4862",
		"64:ff9b::102:304":  "6052 routable",
		"::ffff:0:102:304":  "6145 routable",
		"2001:4860:4860::8": "routable",
	} {
		address := &types.NetAddress{ID: testID, IP: net.ParseIP(ip), Port: 1}
		require.NotNil(t, address.IP, ip)

		for name, in := range ranges {
			require.Equal(t, strings.Contains(want, name), in(address), "%s: %s", ip, name)
		}
	}

	var missing *types.NetAddress

	for name, in := range ranges {
		require.False(t, in(missing), name)
	}
}

func TestNetAddressJSON(t *testing.T) {
	na := types.NetAddress{ID: testID, IP: net.ParseIP("1.2.3.4"), Port: 5, Hostname: "node.example"}

	text, err := json.Marshal(na)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"`+testID.String()+`","ip":"1.2.3.4","port":5}`, string(text))

	var again types.NetAddress

	require.NoError(t, json.Unmarshal(text, &again))
	require.True(t, na.Equals(again))
}

func TestDialContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)

	defer listener.Close()

	socket, ok := listener.Addr().(*net.TCPAddr)
	require.True(t, ok)

	byIP, err := types.NewNetAddress(testID, socket)
	require.NoError(t, err)

	// The IP is one that nobody answers at: only a look-up of the name leads to
	// the listener.
	byName := &types.NetAddress{IP: net.ParseIP("192.0.2.1"), Port: byIP.Port, Hostname: "localhost"}

	for _, na := range []*types.NetAddress{byIP, byName} {
		conn, err := na.DialContext(t.Context())
		require.NoError(t, err)
		require.Equal(t, socket.String(), conn.RemoteAddr().String())
		require.NoError(t, conn.Close())
	}

	canceled, cancel := context.WithCancel(t.Context())
	cancel()

	_, err = byIP.DialContext(canceled)
	require.Error(t, err)

	_, err = (&types.NetAddress{}).DialContext(t.Context())
	require.ErrorIs(t, err, types.ErrUnsetIPAddress)

	_, err = (*types.NetAddress)(nil).DialContext(t.Context())
	require.ErrorIs(t, err, types.ErrInvalidNetAddress)
}
