package lp2p

import (
	"bytes"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// logBuffer collects what a transport logs.
type logBuffer struct {
	mtx sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mtx.Lock()
	defer l.mtx.Unlock()

	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mtx.Lock()
	defer l.mtx.Unlock()

	return l.buf.String()
}

// newLoggedNode is newNode with its log, at the IP.
func newLoggedNode(t testing.TB, ip net.IP, opts ...Option) (*node, *logBuffer) {
	t.Helper()
	key, logs := types.GenerateNodeKey(), new(logBuffer)
	info := nodeInfo(key.ID())
	tr, err := NewTransport(info, *key, slog.New(slog.NewTextHandler(logs, nil)), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(types.NetAddress{IP: ip}))

	return &node{Transport: tr, behavior: newBehavior(), key: key, info: info}, logs
}

// Both unspecified addresses open both families, over TCP and over QUIC, at one port, and
// the log says which are open.
func TestListenOpensTheFamiliesItNames(t *testing.T) {
	for laddr, c := range map[string]struct {
		v4, v6   bool
		families string
	}{
		"0.0.0.0":   {true, true, `families="IPv4 and IPv6"`},
		"::":        {true, true, `families="IPv4 and IPv6"`},
		"127.0.0.1": {true, false, "families=IPv4 "},
		"::1":       {false, true, "families=IPv6 "},
	} {
		t.Run(laddr, func(t *testing.T) {
			listener, logs := newLoggedNode(t, net.ParseIP(laddr), WithQUIC())
			listener.acceptLoop(t)
			require.Contains(t, logs.String(), c.families)
			for ip, open := range map[string]bool{"127.0.0.1": c.v4, "::1": c.v6} {
				for name, opts := range map[string][]Option{"TCP": nil, "QUIC": {WithQUICOnly()}} {
					addr := listener.NetAddress()
					addr.IP = net.ParseIP(ip)
					dialer := newNode(t, nil, opts...)
					if !open && name == "QUIC" {
						continue // UDP reports no refusal
					}
					p, err := dialer.Dial(timeout(t), addr, dialer.behavior)
					if !open {
						require.Error(t, err)

						continue
					}
					require.NoError(t, err, "%s %s", name, ip)
					require.NoError(t, p.Start())
					require.NoError(t, p.Stop())
				}
			}
		})
	}
}
