package native

import (
	"log/slog"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// newLoggedTransport is newTransport with its log, unless an option says otherwise.
func newLoggedTransport(t *testing.T, opts ...Option) (*MultiplexTransport, *stacktest.Log) {
	t.Helper()
	key, logs := types.GenerateNodeKey(), new(stacktest.Log)
	mt := NewMultiplexTransport(
		nodeInfo(key.ID(), "net"), *key, mconn.DefaultMConnConfig(), slog.New(slog.NewTextHandler(logs, nil)),
		append([]Option{WithHandshakeTimeout(testTimeout)}, opts...)...)
	t.Cleanup(func() { require.NoError(t, mt.Close()) })

	return mt, logs
}

// Both unspecified addresses open both families, and the log says which are open.
func TestListenOpensTheFamiliesItNames(t *testing.T) {
	for laddr, c := range map[string]struct {
		v4, v6   bool
		families string
	}{
		"0.0.0.0":   {true, true, `families="IPv4 and IPv6"`},
		"::":        {true, true, `families="IPv4 and IPv6"`},
		"127.0.0.1": {true, false, "families=IPv4\n"},
		"::1":       {false, true, "families=IPv6\n"},
	} {
		t.Run(laddr, func(t *testing.T) {
			listener, logs := newLoggedTransport(t)
			require.NoError(t, listener.Listen(types.NetAddress{IP: net.ParseIP(laddr)}))
			require.Contains(t, logs.String(), c.families)
			for ip, open := range map[string]bool{"127.0.0.1": c.v4, "::1": c.v6} {
				addr := listener.NetAddress()
				addr.IP = net.ParseIP(ip)
				dialer := newTransport(t, "net")
				if !open {
					_, err := dialer.Dial(testContext(t), addr, newBehavior())
					require.Error(t, err)

					continue
				}
				out, in := connectAt(t, dialer, listener, addr, newBehavior(), newBehavior())
				dialer.Remove(out)
				listener.Remove(in)
			}
		})
	}
}
