package legacy_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/internal/freeport"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

func TestMain(m *testing.M) {
	if err := legacy.Build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// forEachVersion runs the test against every version.
func forEachVersion(t *testing.T, test func(t *testing.T, version string)) {
	t.Helper()
	for _, version := range legacy.Versions() {
		t.Run(version, func(t *testing.T) { test(t, version) })
	}
}

func TestSeedIsTheIdentity(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version string) {
		seed := make([]byte, 32)
		port, err := freeport.Take()
		require.NoError(t, err)
		first := legacy.Start(t, legacy.Options{
			Version: version, Seed: seed, Moniker: "first", Network: "net", Discovery: true,
			Listen: fmt.Sprintf("127.0.0.1:%d", port),
		})
		require.Equal(t, "first", first.NodeInfo().Moniker)
		require.Equal(t, "net", first.NodeInfo().Network)
		require.Equal(t, first.Addr(), first.NodeInfo().NetAddress)
		require.Equal(t, "202122304050", first.NodeInfo().Channels)
		first.Stop()

		second := legacy.Start(t, legacy.Options{
			Version: version, Seed: seed, Listen: first.HostPort(), Channels: []byte{0x40},
		})
		require.Equal(t, first.Addr(), second.Addr())
		require.Equal(t, "40", second.NodeInfo().Channels)
		require.NotEqual(t, second.ID(), legacy.Start(t, legacy.Options{Version: version}).ID())
	})
}

func TestPersistentPeerIsDialedAtStart(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version string) {
		first := legacy.Start(t, legacy.Options{Version: version})
		second := legacy.Start(t, legacy.Options{Version: version, Persistent: []string{first.Addr()}})
		second.AwaitUp(t, first.ID(), 1)
		first.AwaitUp(t, second.ID(), 1)

		second.Kill()
		require.NotEmpty(t, first.AwaitDown(t, second.ID(), 1).Reason)
	})
}

func TestErrorsAreReported(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version string) {
		o := legacy.Options{Version: version}
		sender, dialer := legacy.Start(t, o), legacy.Start(t, o)
		sender.Send("nobody", 0x20, 1, 1, 1)
		sender.AwaitText(t, protocol.EventError, "no peer nobody")
		dialer.Dial("nonsense")
		dialer.AwaitText(t, protocol.EventError, "dial")
	})
}
