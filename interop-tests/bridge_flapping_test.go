package interoptests

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
)

// A real gno node at its defaults has dialed the bridge and is its target too. It ends what the
// bridge opens to it for libp2p nodes, which dial again: the status names that, with the cure.
func TestGnoThatDialsAndIsATargetIsNamed(t *testing.T) {
	far := startLibp2p(t, nodeOptions{moniker: "far"})
	gno := legacy.Start(t, legacy.Options{Moniker: "gno"})
	b := startBridge(t, bridgePeers{native: []string{gno.Addr()}, libp2p: []string{netAddressString(*far.info.NetAddress)}, only: true})
	dialUntil(t, gno, b.forNative(), gno, hasPeer(b.id))
	startLibp2p(t, nodeOptions{moniker: "again", persistent: []string{b.forLibp2p()}})
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(b.Status().Flapping, func(f bridge.FlappingStatus) bool {
			return f.Initiator == bridge.InitiatorLibp2p && f.Target.String() == gno.ID() && f.Known
		})
	}, 4*time.Minute, 10*time.Millisecond)
	require.Contains(t, b.Status().Flapping[0].Cure, "both dials this bridge and is a target")
}
