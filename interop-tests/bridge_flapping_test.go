package interoptests

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/legacy"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

func anything(protocol.Event) bool { return true }

// A real gno node at its defaults has dialed the bridge and is its target too. It ends what the
// bridge opens to it for libp2p nodes, which dial again: the status names that, with the cure.
func TestGnoThatDialsAndIsATargetIsNamed(t *testing.T) {
	t.Parallel()
	far := startLibp2p(t, nodeOptions{moniker: "far"})
	gno := legacy.Start(t, legacy.Options{Moniker: "gno"})
	b := startBridge(t, bridgePeers{native: []string{gno.Addr()}, libp2p: []string{netAddressString(*far.info.NetAddress)}, only: true})
	dialUntil(t, gno, b.forNative(), gno, hasPeer(b.id))
	startLibp2p(t, nodeOptions{moniker: "again", persistent: []string{b.forLibp2p()}})
	named := func() bool {
		return slices.ContainsFunc(b.Status().Flapping, func(f bridge.FlappingStatus) bool {
			return f.Initiator == bridge.InitiatorLibp2p && f.Target.String() == gno.ID() && f.Known
		})
	}
	looks := time.NewTicker(10 * time.Millisecond)
	defer looks.Stop()
	for begun, dialed := time.Now(), time.Now(); !named(); <-looks.C {
		require.Less(t, time.Since(begun), 4*time.Minute, "the bridge names nobody")
		if time.Since(dialed) > dialTime && !hasPeer(b.id)(gno.Events(anything)) { // a late pair has ended
			t.Logf("%s dials again", gno.Addr())
			gno.Dial(b.forNative())
			dialed = time.Now()
		}
	}
	require.Contains(t, b.Status().Flapping[0].Cure, "both dials this bridge and is a target")
}
