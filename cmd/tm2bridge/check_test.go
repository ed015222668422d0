package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

func checkHome(t *testing.T, change func(*config.Config)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "home")
	cfg := config.Default()
	cfg.P2P.ListenAddress, cfg.Bridge.Libp2pListenAddress, cfg.HTTP.ListenAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	change(cfg)
	_, _, err := config.Init(dir, cfg)
	require.NoError(t, err)

	return dir
}

// checkUntil checks a home, with further flags, until the status is the wanted one and the output has the
// patterns, and returns the output. A check waits a second or two for what a node tells of itself, and nodes
// wait three for a handshake, so that one with a busy node may have to be repeated. For the same reason it has a
// minute for each node.
func checkUntil(t *testing.T, dir string, flags []string, want int, patterns ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := append([]string{"check", "--home", dir, "--timeout", "1m"}, flags...)
	for {
		status, stdout, stderr := call(t, args...)
		missing := slices.DeleteFunc(slices.Clone(patterns), func(p string) bool {
			return regexp.MustCompile(p).MatchString(stdout + stderr)
		})
		if status == want && len(missing) == 0 {
			return stdout
		}
		require.NoError(t, ctx.Err(), "status %d, not %d, and %q are missing:\n%s%s", status, want, missing, stdout, stderr)
		t.Logf("a check is repeated after status %d, without %q", status, missing)
	}
}

func TestCheckOfAGoodHome(t *testing.T) {
	native, libp2p := newPeer(t, types.StackNative, "net", "n"), newPeer(t, types.StackLibp2p, "net", "<b>l</b>")
	dir := checkHome(t, func(c *config.Config) {
		c.P2P.PersistentPeers, c.Bridge.Libp2pPeers = native.addr.String(), libp2p.addr.String()
		c.Bridge.Libp2pQUIC = true
	})
	stdout := checkUntil(t, dir, nil, 0, `all nodes that tell it are of network "net"`)
	require.NotContains(t, stdout, "FAULT")
	require.Contains(t, stdout, native.addr.String()+` answers on native, dialect C, network "net", version v1.0.0, moniker "n", round trip`)
	require.Contains(t, stdout, libp2p.addr.String()+" answers on libp2p")
	require.Contains(t, stdout, "UDP port of")
	checkUntil(t, dir, []string{"--json"}, 0, `{"verdict":"ok","subject":"config"`)
}

// Each fault has a line, and its cure.
func TestCheckFindsFaults(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	native, libp2p := newPeer(t, types.StackNative, "net", "n"), newPeer(t, types.StackLibp2p, "net", "l")
	stranger, nobody := types.GenerateNodeKey().ID(), types.GenerateNodeKey().ID()
	dir := checkHome(t, func(c *config.Config) {
		c.P2P.ListenAddress = taken.Addr().String()
		c.P2P.PersistentPeers = libp2p.addr.String()
		c.Bridge.Libp2pPeers = fmt.Sprintf("%s,%s@%s,%s@127.0.0.1:1", native.addr.String(), stranger, libp2p.addr.DialString(), nobody)
	})
	wanted := []string{"there are 5 faults"}
	for _, want := range []string{
		"address already in use", "choose another one",
		"speaks native, not libp2p", "move it to [p2p].persistent_peers",
		"speaks libp2p, not native", "move it to [bridge].libp2p_peers",
		"asked for " + stranger.String(), "write " + libp2p.addr.ID.String(),
		"connection refused", "start the node",
	} {
		wanted = append(wanted, regexp.QuoteMeta(want))
	}
	checkUntil(t, dir, nil, exitFailed, wanted...)
}

// The ports of identities and tunnels are tried too.
func TestCheckOfFurtherPorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	libp2p := newPeer(t, types.StackLibp2p, "net", "l")
	dir := checkHome(t, func(c *config.Config) {
		c.Bridge.Libp2pPeers = libp2p.addr.String()
		c.P2P.ListenAddress, c.Bridge.Identities = fmt.Sprintf("127.0.0.1:%d", port-1), 2
	})
	_, stdout, _ := call(t, "check", "--home", dir)
	require.Regexp(t, `FAULT  \[bridge\].identities +listen tcp .* address already in use`, stdout)
	dir = checkHome(t, func(c *config.Config) {
		c.Bridge.Libp2pPeers = libp2p.addr.String()
		c.Bridge.Tunnels = fmt.Sprintf("%s=%d", libp2p.addr.ID, port)
	})
	_, stdout, _ = call(t, "check", "--home", dir)
	require.Regexp(t, `FAULT  \[bridge\].tunnels +listen tcp .* address already in use`, stdout)
}

// A bridge that has tunnels only joins nodes, too.
func TestCheckOfTunnelsAlone(t *testing.T) {
	node := types.GenerateNodeKey().ID()
	dir := checkHome(t, func(c *config.Config) {
		c.Bridge.Tunnels = fmt.Sprintf("%s=%d", node, stacktest.FreePortAt(t, net.IPv4(127, 0, 0, 1)))
	})
	status, stdout, stderr := call(t, "check", "--home", dir)
	require.Zero(t, status, stdout+stderr)
	require.NotContains(t, stdout, "no node is configured")
	require.Contains(t, stdout, node.String()+" is not in [bridge].libp2p_peers: native nodes reach it while it keeps a connection")
}

func TestCheckOfABlockedNode(t *testing.T) {
	libp2p := newPeer(t, types.StackLibp2p, "net", "l")
	dir := checkHome(t, func(c *config.Config) {
		c.Bridge.Libp2pPeers, c.P2P.BlockedIPs = libp2p.addr.String(), "127.0.0.0/8"
	})
	stdout := checkUntil(t, dir, nil, exitFailed, "there is 1 fault")
	require.Contains(t, stdout, libp2p.addr.String()+" is configured and blocked")
	require.Contains(t, stdout, "take it out of [p2p].blocked_peers or [p2p].blocked_ips")
}

// Where a host name leads counts, and not that it is a name.
func TestCheckOfANameThatLeadsToABlockedIP(t *testing.T) {
	names, libp2p := dnstest.Install(t), newPeer(t, types.StackLibp2p, "net", "l")
	names.Set("blocked.example", net.IPv4(127, 0, 0, 1))
	dir := checkHome(t, func(c *config.Config) {
		c.Bridge.Libp2pPeers = fmt.Sprintf("%s@blocked.example:%d", libp2p.addr.ID, libp2p.addr.Port)
		c.P2P.BlockedIPs = "127.0.0.0/8"
	})
	status, stdout, stderr := call(t, "check", "--home", dir)
	require.Equal(t, exitFailed, status, stderr)
	require.Contains(t, stderr, "there is 1 fault")
	require.Contains(t, stdout, "is at [127.0.0.1], which is blocked")
	require.Contains(t, stdout, "take it out of [p2p].blocked_ips, or mend the host name")
}

func TestCheckComparesNetworks(t *testing.T) {
	native, libp2p := newPeer(t, types.StackNative, "net", "n"), newPeer(t, types.StackLibp2p, "other", "l")
	dir := checkHome(t, func(c *config.Config) {
		c.P2P.PersistentPeers, c.Bridge.Libp2pPeers = native.addr.String(), libp2p.addr.String()
		c.Bridge.Libp2pNetwork = "third"
	})
	stdout := checkUntil(t, dir, nil, exitFailed, "they refuse each other")
	require.Contains(t, stdout, `it is "third", and no configured node is of it`)
}

func TestCheckOfFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	status, stdout, _ := call(t, "check", "--home", dir)
	require.Equal(t, exitFailed, status)
	require.Contains(t, stdout, "cure: tm2bridge init --home "+dir)

	dir = checkHome(t, func(*config.Config) {})
	status, stdout, stderr := call(t, "check", "--home", dir)
	require.Equal(t, exitFailed, status)
	require.Contains(t, stdout, "no node is configured")
	require.Contains(t, stderr, "there is 1 fault")
	require.NoError(t, os.Chmod(config.NodeKeyPath(dir), 0o644))
	require.NoError(t, os.WriteFile(config.Path(dir), []byte("[p2p]\n\nladdr = 1"), 0o600))
	_, stdout, _ = call(t, "check", "--home", dir)
	require.Contains(t, stdout, "line 3, column 1: [p2p].laddr = 1: it must be a string")
	require.Contains(t, stdout, "cure: chmod 600")
}

// The clock of a node is compared where its RPC server can be asked.
func TestCheckComparesClocks(t *testing.T) {
	for ahead, want := range map[time.Duration]string{
		0:               "has the time of this machine, to 10s",
		5 * time.Minute: `differs from this machine's by (4m5\ds|5m\ds)`,
		-time.Hour:      `differs from this machine's by -(59m5\ds|1h0m\ds)`,
	} {
		rpc := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
		}))
		node := newPeerWithRPC(t, types.StackLibp2p, "net", "l", "tcp://0.0.0.0:"+rpc.URL[strings.LastIndex(rpc.URL, ":")+1:])
		dir := checkHome(t, func(c *config.Config) { c.Bridge.Libp2pPeers = node.addr.String() })
		checkUntil(t, dir, nil, 0, want)
		rpc.Close()
	}
}

// The ports of a bridge that runs are its own, and no fault.
func TestCheckWhileTheBridgeRuns(t *testing.T) {
	libp2p := newPeer(t, types.StackLibp2p, "net", "l")
	s := startBridge(t, libp2p.addr.String())
	checkUntil(t, s.home, []string{
		"--http.laddr", s.url[len("http://"):], "--p2p.laddr", s.native.DialString(), "--bridge.libp2p_laddr", s.lp2p.DialString(),
	}, 0, "the bridge of this home runs")
	s.stop()
	require.Zero(t, s.wait(t), s.stderr.String())
}
