package cluster

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestForksAreSeen runs two chains without a connection, which look like a fork, and checks
// that the checks of the other tests detect it.
func TestForksAreSeen(t *testing.T) {
	besideOthers(t)
	var members []*Member
	for range 2 {
		r := start(t, newNetwork(t, nil), Of(Memory(), 1))
		r.await(t, Reached(3, r.Members()...))
		members = append(members, r.Members()...)
		agreed, err := CheckAgreement(r.Members()...)
		require.NoError(t, err)
		require.GreaterOrEqual(t, agreed.Height, int64(3))
		require.NoError(t, r.Network.Stop())
	}
	var fork *ForkError
	_, err := CheckAgreement(members...)
	require.ErrorAs(t, err, &fork)
	require.EqualValues(t, 1, fork.Height)

	remote := &Remote{name: "remote", hashes: []string{
		hex.EncodeToString(members[0].Blocks().LoadBlockMeta(1).BlockID.Hash),
		hex.EncodeToString(members[1].Blocks().LoadBlockMeta(2).BlockID.Hash),
	}}
	require.ErrorAs(t, remote.CheckAgreement(members[0]), &fork)
	require.EqualValues(t, 2, fork.Height)
	remote.hashes = remote.hashes[:1]
	require.NoError(t, remote.CheckAgreement(members[0]))
}
