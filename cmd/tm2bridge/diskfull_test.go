package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
)

// fill writes to the disk until it takes no more.
func fill(t *testing.T, disk string) {
	t.Helper()
	file, err := os.Create(filepath.Join(disk, "full"))
	require.NoError(t, err)
	for size := 4 << 10; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = file.Write(make([]byte, size))
		}
	}
	require.NoError(t, file.Close())
}

// With its home on a full disk a bridge starts, joins nodes and stops, since it can do without the
// only file that it writes while it runs, its address book. init says what it could not write, and
// leaves nothing half-written.
func TestDiskFull(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	disk := netnstest.SmallDisk(t, 256<<10)
	home := filepath.Join(disk, "home")
	libp2p := newPeer(t, types.StackLibp2p, "net", "far")
	cfg := config.Default()
	cfg.P2P.ListenAddress, cfg.Bridge.Libp2pListenAddress, cfg.HTTP.ListenAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.Bridge.Libp2pPeers = libp2p.addr.String()
	_, _, err := config.Init(home, cfg)
	require.NoError(t, err)
	fill(t, disk)

	other := filepath.Join(disk, "other")
	status, _, stderr := call(t, "init", "--home", other)
	require.NotZero(t, status)
	require.Contains(t, stderr, "no space left on device")
	for _, path := range []string{config.Path(other), config.NodeKeyPath(other), config.TokenPath(other)} {
		require.NoFileExists(t, path)
	}

	s := startBridgeAt(t, home, libp2p.addr.String())
	newPeer(t, types.StackNative, "net", "near", s.native)
	s.eventually(t, func(r bridgehttp.Report) bool { return len(r.Pairs) == 1 })
	s.stop()
	require.Zero(t, s.wait(t), s.stderr.String())
}
