package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// testTimeout only ends a test that has already failed.
const testTimeout = 2 * time.Minute

// testPeer is a node of a network, with one channel.
type testPeer struct {
	addr types.NetAddress
	sw   *adapter.MultiplexSwitch
}

type quietReactor struct{ compat.BaseReactor }

func (*quietReactor) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: 0x30, Priority: 5}}
}

// newPeer starts a node at default settings that dials the addresses.
func newPeer(t *testing.T, stack types.Stack, network, moniker string, dial ...*types.NetAddress) *testPeer {
	t.Helper()

	return newPeerWithRPC(t, stack, network, moniker, "", dial...)
}

// newPeerWithRPC starts a node that tells an RPC address.
func newPeerWithRPC(t *testing.T, stack types.Stack, network, moniker, rpc string, dial ...*types.NetAddress) *testPeer {
	t.Helper()
	key := types.GenerateNodeKey()
	at := types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)}
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}}, NetAddress: &at,
		Network: network, Version: "v1.0.0", Channels: []byte{0x30}, Moniker: moniker, Other: types.NodeInfoOther{RPCAddress: rpc},
	}
	var tr compat.ListeningTransport = native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil)
	if stack == types.StackLibp2p {
		var err error
		tr, err = lp2p.NewTransport(info, *key, nil)
		require.NoError(t, err)
	}
	require.NoError(t, tr.Listen(at))
	r := &quietReactor{}
	r.BaseReactor = *compat.NewBaseReactor("quiet", r)
	p := &testPeer{addr: tr.NetAddress(), sw: adapter.NewMultiplexSwitch(tr, adapter.WithReactor("quiet", r), adapter.WithPersistentPeers(dial))}
	require.NoError(t, p.sw.Start())
	t.Cleanup(func() {
		require.NoError(t, p.sw.Stop())
		require.NoError(t, tr.Close())
	})

	return p
}

// started is a bridge that runs as tm2bridge start runs it.
type started struct {
	*running
	home, url    string
	native, lp2p *types.NetAddress
	stop         context.CancelFunc
}

// startBridge runs a bridge with the section [bridge] at free loopback ports.
func startBridge(t *testing.T, libp2pPeers string, args ...string) *started {
	t.Helper()

	return startBridgeAt(t, filepath.Join(t.TempDir(), "home"), libp2pPeers, args...)
}

// startBridgeAt is startBridge with a home, whose files stay if there are any.
func startBridgeAt(t *testing.T, home, libp2pPeers string, args ...string) *started {
	t.Helper()
	s := &started{home: home}
	cfg := config.Default()
	cfg.P2P.ListenAddress, cfg.Bridge.Libp2pListenAddress, cfg.HTTP.ListenAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Bridge.Libp2pPeers = libp2pPeers
	_, _, err := config.Init(s.home, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	s.stop = cancel
	t.Cleanup(cancel)
	s.running = begin(func(stdout, stderr io.Writer) int {
		return cli.Execute(ctx, newRoot(), append([]string{"start", "--home", s.home}, args...), stdout, stderr)
	})
	s.native, err = types.ParseNetAddress(s.line(t, "native nodes dial"))
	require.NoError(t, err)
	s.lp2p, err = types.ParseNetAddress(s.line(t, "libp2p nodes dial"))
	require.NoError(t, err)
	s.url = strings.TrimSuffix(s.line(t, "page for people"), "/")

	return s
}

// The home has the address book, so that the next start knows the nodes of this one.
func TestAddressBookIsInTheHome(t *testing.T) {
	libp2p := newPeer(t, types.StackLibp2p, "net", "far")
	s := startBridgeAt(t, filepath.Join(t.TempDir(), "home"), libp2p.addr.String())
	newPeer(t, types.StackNative, "net", "near", s.native)
	s.eventually(t, func(r bridgehttp.Report) bool { return len(r.Pairs) == 1 })
	s.stop()
	require.Zero(t, s.wait(t), s.stderr.String())
	text, err := os.ReadFile(config.AddrBookPath(s.home))
	require.NoError(t, err)
	require.Contains(t, string(text), libp2p.addr.String())
}

// ask runs a command against the running bridge.
func (s *started) ask(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()

	return call(t, append(args, "--home", s.home, "--url", s.url)...)
}

// eventually waits until the status has what the condition wants.
func (s *started) eventually(t *testing.T, condition func(bridgehttp.Report) bool) (r bridgehttp.Report) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, stdout, _ := s.ask(t, "status", "--json")
		r = bridgehttp.Report{}

		return json.Unmarshal([]byte(stdout), &r) == nil && condition(r)
	}, testTimeout, 20*time.Millisecond)

	return r
}

// A bridge is watched and changed through its HTTP port, in front of nodes at defaults.
func TestStatusAndControl(t *testing.T) {
	libp2p := newPeer(t, types.StackLibp2p, "net", "<b>far</b>")
	s := startBridge(t, "")
	status, stdout, stderr := s.ask(t, "status")
	require.Equal(t, exitFailed, status)
	require.Contains(t, stdout, "[DOWN] No target is known")
	require.Contains(t, stderr, "the bridge is down")

	status, stdout, stderr = s.ask(t, "connect", "libp2p", libp2p.addr.String())
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "is a target")
	near := newPeer(t, types.StackNative, "net", "near", s.native)
	s.eventually(t, func(r bridgehttp.Report) bool { return len(r.Pairs) == 1 })
	status, stdout, stderr = s.ask(t, "status")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "[ OK ] 1 pair is up")
	require.Contains(t, stdout, near.addr.ID.String())
	require.Contains(t, stdout, "<b>far</b>")

	for _, args := range [][]string{{"block", near.addr.ID.String()}, {"unblock", near.addr.ID.String()}, {"log", "debug"}} {
		status, _, stderr = s.ask(t, args...)
		require.Zero(t, status, stderr)
	}
	status, _, stderr = s.ask(t, "forget", near.addr.ID.String())
	require.Equal(t, exitFailed, status)
	require.Contains(t, stderr, "no such target")
	status, _, stderr = s.ask(t, "block", "g1xx")
	require.Equal(t, exitFailed, status)
	require.Contains(t, stderr, `"g1xx" names no node`)
	require.NotContains(t, stderr, "configuration")
	require.NoError(t, os.WriteFile(config.TokenPath(s.home), []byte(strings.Repeat("0", 48)), 0o600))
	status, _, stderr = s.ask(t, "forget", libp2p.addr.ID.String())
	require.Equal(t, exitFailed, status)
	require.Contains(t, stderr, "token is missing or wrong")
	require.NoError(t, os.Remove(config.TokenPath(s.home)))
	status, _, _ = s.ask(t, "forget", libp2p.addr.ID.String())
	require.Equal(t, exitConfig, status)
	require.NoFileExists(t, config.TokenPath(s.home), "a client makes no token")

	s.stop()
	require.Zero(t, s.wait(t), s.stderr.String())
	require.Contains(t, s.stderr.String(), "peer blocked")
	require.Contains(t, s.stderr.String(), "log level changed")
}

// SIGHUP takes over peers and the log level, and says which keys wait for the next start.
func TestReloadBySIGHUP(t *testing.T) {
	late := make(chan os.Signal, 1) // a signal that comes when the bridge has stopped must not end the test
	signal.Notify(late, syscall.SIGHUP)
	defer signal.Stop(late)
	libp2p := newPeer(t, types.StackLibp2p, "net", "far")
	s := startBridge(t, "", "--log.format", "json")
	text := "[bridge]\nmax_pairs = 3\nlibp2p_peers = \"" + libp2p.addr.String() + "\"\n[log]\nlevel = \"debug\""
	require.NoError(t, os.WriteFile(config.Path(s.home), []byte(text), 0o600))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	s.eventually(t, func(r bridgehttp.Report) bool { return len(r.Targets) == 1 })
	s.stop()
	require.Zero(t, s.wait(t), s.stderr.String())
	log := s.stderr.String()
	require.Contains(t, log, `"msg":"configuration reloaded"`)
	require.Contains(t, log, "bridge.max_pairs")
}

// A file that cannot be used changes nothing.
func TestReloadOfABadFile(t *testing.T) {
	dir := t.TempDir()
	_, _, err := config.Init(dir, config.Default())
	require.NoError(t, err)
	s := &service{home: dir, out: io.Discard, log: io.Discard}
	require.NoError(t, s.load())
	for _, text := range []string{"[bridge]\nlibp2p_pears = \"\"", "[log]\nlevel = \"loud\"", "["} {
		require.NoError(t, os.WriteFile(config.Path(dir), []byte(text), 0o600))
		require.ErrorContains(t, s.apply(s.read()), "line ")
	}
	require.Equal(t, slog.LevelInfo, s.level.Level())
}

// systemd hears when the bridge is ready, that it lives, and that it stops.
func TestSystemdIsNotified(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", "")
	s := startBridge(t, "")
	heard := func(want string) {
		buf := make([]byte, 1024)
		require.NoError(t, socket.SetReadDeadline(time.Now().Add(testTimeout)))
		for {
			n, err := socket.Read(buf)
			require.NoError(t, err, want)
			if strings.Contains(string(buf[:n]), want) {
				return
			}
		}
	}
	heard("READY=1")
	heard("WATCHDOG=1\nSTATUS=No target is known")
	s.stop()
	heard("STOPPING=1")
	require.Zero(t, s.wait(t), s.stderr.String())
}

// The metrics are those of the bridge, of its libp2p side, and of the process.
func TestMetricsOfAllParts(t *testing.T) {
	s := startBridge(t, "")
	resp, err := http.Get(s.url + "/metrics")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	for _, name := range []string{"tm2_bridge_ready 0", "tm2_p2p_peers{", "go_goroutines", "libp2p_"} {
		require.Contains(t, string(body), name)
	}
	s.stop()
	require.Zero(t, s.wait(t), s.stderr.String())
}

// Without [http].laddr nothing listens, and status says so.
func TestWithoutHTTP(t *testing.T) {
	dir := t.TempDir()
	_, _, err := config.Init(dir, config.Default())
	require.NoError(t, err)
	t.Setenv("TM2BRIDGE_HTTP_LADDR", "")
	status, _, stderr := call(t, "status", "--home", dir)
	require.Equal(t, exitConfig, status)
	require.Contains(t, stderr, "[http].laddr is empty")
	for listen, want := range map[string]string{
		"tcp://0.0.0.0:1": "http://127.0.0.1:1", "[::]:1": "http://[::1]:1", ":1": "http://127.0.0.1:1", "10.0.0.1:1": "http://10.0.0.1:1",
	} {
		url, err := baseURL(listen)
		require.NoError(t, err)
		require.Equal(t, want, url)
	}
	_, err = baseURL("127.0.0.1:0")
	require.ErrorContains(t, err, "--url")
}
