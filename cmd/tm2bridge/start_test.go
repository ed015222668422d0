package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// running is a command that runs until it is stopped.
type running struct {
	stdout *bufio.Reader
	stderr bytes.Buffer // read it after wait
	status chan int
}

func begin(run func(stdout, stderr io.Writer) int) *running {
	r, w := io.Pipe()
	c := &running{stdout: bufio.NewReader(r), status: make(chan int, 1)}
	go func() {
		c.status <- run(w, &c.stderr)
		_ = w.Close() // a pipe closes without an error
	}()

	return c
}

// line returns the rest of the next line of the standard output that begins with prefix.
func (c *running) line(t *testing.T, prefix string) string {
	for {
		line, err := c.stdout.ReadString('\n')
		require.NoError(t, err, prefix)
		if rest, found := strings.CutPrefix(line, prefix); found {
			return strings.TrimSpace(rest)
		}
	}
}

// wait reads the rest of the standard output and returns the exit status.
func (c *running) wait(t *testing.T) int {
	_, err := io.Copy(io.Discard, c.stdout)
	require.NoError(t, err)

	return <-c.status
}

func TestStartFromHome(t *testing.T) {
	home := t.TempDir()
	cfg := config.Default()
	cfg.P2P.ListenAddress, cfg.Bridge.Libp2pListenAddress, cfg.HTTP.ListenAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	key, _, err := config.Init(home, cfg)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := begin(func(stdout, stderr io.Writer) int {
		return cli.Execute(ctx, newRoot(), []string{"start", "--home", home}, stdout, stderr)
	})
	var addrs []*types.NetAddress
	for _, name := range []string{"native nodes dial", "libp2p nodes dial"} {
		addr, err := types.ParseNetAddress(c.line(t, name))
		require.NoError(t, err)
		require.Equal(t, key.ID(), addr.ID)
		addrs = append(addrs, addr)
	}
	require.Contains(t, c.line(t, "multiaddr"), "/ip4/127.0.0.1/tcp/")

	for i, stack := range []string{probe.StackNative, probe.StackLibp2p} {
		result, err := probe.Probe(t.Context(), addrs[i].String())
		late := func() bool {
			return err != nil || stack == probe.StackLibp2p && result.NodeInfo == nil || stack == probe.StackNative && !result.Withheld
		}
		for n := 1; n < 5 && late(); n++ {
			t.Logf("a handshake with the bridge was late, or its NodeInfo: %v, %+v", err, result)
			result, err = probe.Probe(t.Context(), addrs[i].String())
		}
		require.NoError(t, err)
		require.Equal(t, []string{stack}, result.Stacks)
		require.Equal(t, key.ID(), result.ID)
		require.Equal(t, stack == probe.StackLibp2p, result.Bridge)
		require.Equal(t, stack == probe.StackNative, result.Withheld)
	}

	cancel()
	require.Zero(t, c.wait(t), c.stderr.String())
	require.Contains(t, c.stderr.String(), "libp2p_peers is empty: native peers that dial the bridge will be refused until a libp2p peer has dialed it")
}

func TestStartWithQUIC(t *testing.T) {
	home := t.TempDir()
	cfg := config.Default()
	cfg.P2P.ListenAddress, cfg.Bridge.Libp2pListenAddress, cfg.HTTP.ListenAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Bridge.Libp2pQUIC, cfg.Bridge.OnlyConfigured = true, true
	_, _, err := config.Init(home, cfg)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := begin(func(stdout, stderr io.Writer) int {
		return cli.Execute(ctx, newRoot(), []string{"start", "--home", home}, stdout, stderr)
	})
	addr, err := types.ParseNetAddress(c.line(t, "libp2p nodes dial"))
	require.NoError(t, err)
	port := strconv.Itoa(int(addr.Port))
	require.Contains(t, c.line(t, "multiaddr")+c.line(t, "multiaddr"), "/ip4/127.0.0.1/udp/"+port+"/quic-v1")
	cancel()
	require.Zero(t, c.wait(t), c.stderr.String())
	require.Contains(t, c.stderr.String(), "native peers that dial the bridge will be refused\"")
}

// TestStartTemporary starts a bridge without a home while the default ports are taken,
// and ends it by a signal.
func TestStartTemporary(t *testing.T) {
	for _, at := range []string{config.DefaultNativeAddress, config.DefaultLibp2pAddress} {
		if l, err := net.Listen("tcp", strings.Replace(strings.TrimPrefix(at, "tcp://"), "0.0.0.0", "127.0.0.1", 1)); err == nil {
			t.Cleanup(func() { require.NoError(t, l.Close()) })
		}
	}
	t.Setenv("TMPDIR", t.TempDir())

	c := begin(func(stdout, stderr io.Writer) int {
		return cli.Run(newRoot(), []string{"start", "--temporary"}, stdout, stderr)
	})
	home, _, _ := strings.Cut(c.line(t, "temporary home"), ",")
	require.FileExists(t, config.Path(home))
	require.Contains(t, c.line(t, "native nodes dial"), "@127.0.0.1:")
	require.Contains(t, c.line(t, "libp2p nodes dial"), "@127.0.0.1:")
	c.line(t, "multiaddr")

	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	require.Zero(t, c.wait(t), c.stderr.String())
	require.NoDirExists(t, home)
}

// TestBridgeConfigTakesEveryKey checks that every key of the file reaches the bridge.
func TestBridgeConfigTakesEveryKey(t *testing.T) {
	const a, b = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m", "g1zw0rjs8xfd2fzu3q3rv6p46pv28usfhqc8742q"
	cfg := config.Default()
	cfg.P2P.ListenAddress, cfg.Bridge.Libp2pListenAddress = "127.0.0.1:1", "127.0.0.1:2"
	cfg.P2P.PersistentPeers, cfg.Bridge.Libp2pPeers = a+"@127.0.0.1:3", b+"@127.0.0.1:4"
	cfg.P2P.PrivatePeerIDs, cfg.P2P.UnconditionalPeerIDs = a, b
	cfg.Bridge.Libp2pNetwork, cfg.Bridge.Libp2pQUIC = "chain", true
	cfg.P2P.SendRate, cfg.Bridge.MaxPairs, cfg.Bridge.MaxPairsPerIP = 5, 6, 7
	id := types.GenerateNodeKey().ID()
	got, err := cfg.ForBridge(id)
	require.NoError(t, err)
	require.NoError(t, got.Validate())
	require.Equal(t, id.String()+"@127.0.0.1:1", got.NativeListen.String())
	require.Equal(t, id.String()+"@127.0.0.1:2", got.Libp2pListen.String())
	require.Len(t, got.NativePeers, 1)
	require.Equal(t, a+"@127.0.0.1:3", got.NativePeers[0].String())
	require.Len(t, got.Libp2pPeers, 1)
	require.Equal(t, b+"@127.0.0.1:4", got.Libp2pPeers[0].String())
	require.Equal(t, "chain", got.Libp2pNetwork)
	require.True(t, got.Libp2pQUIC)
	require.False(t, got.OnlyConfigured)
	cfg.Bridge.OnlyConfigured = true
	only, err := cfg.ForBridge(id)
	require.NoError(t, err)
	require.True(t, only.OnlyConfigured)
	require.Equal(t, []types.ID{a}, got.PrivatePeers)
	require.Equal(t, []types.ID{b}, got.UnconditionalPeers)
	require.Equal(t, cfg.P2P.MConnConfig(), got.MConfig)
	require.EqualValues(t, 5, got.MConfig.SendRate)
	require.Equal(t, 6, got.MaxPairs)
	require.Equal(t, 7, got.MaxPairsPerIP)
}

func TestStartOnATakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	home := t.TempDir()
	cfg := config.Default()
	cfg.P2P.ListenAddress, cfg.Bridge.Libp2pListenAddress = "127.0.0.1:0", taken.Addr().String()
	_, _, err = config.Init(home, cfg)
	require.NoError(t, err)

	status, _, stderr := call(t, "start", "--home", home)
	require.Equal(t, exitListen, status)
	require.Contains(t, stderr, taken.Addr().String())
	require.NotContains(t, stderr, "Usage:")
}
