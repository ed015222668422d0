package types_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

func TestNodeInfoValidate(t *testing.T) {
	require.NoError(t, localInfo(t).Validate(), "an unspecified IP is allowed")

	for name, c := range map[string]struct {
		change func(*types.NodeInfo)
		want   error
	}{
		"no address":         {func(n *types.NodeInfo) { n.NetAddress = nil }, types.ErrInvalidNetAddress},
		"no id":              {func(n *types.NodeInfo) { n.NetAddress.ID = "" }, types.ErrInvalidID},
		"no IP":              {func(n *types.NodeInfo) { n.NetAddress.IP = nil }, types.ErrUnsetIPAddress},
		"IP of five bytes":   {func(n *types.NodeInfo) { n.NetAddress.IP = make([]byte, 5) }, types.ErrInvalidIP},
		"documentation IP":   {func(n *types.NodeInfo) { n.NetAddress = parse(t, "[2001:db8::1]:1") }, nil},
		"version empty":      {func(n *types.NodeInfo) { n.Version = "" }, nil},
		"version spaces":     {func(n *types.NodeInfo) { n.Version = "  " }, types.ErrInvalidVersion},
		"version line feed":  {func(n *types.NodeInfo) { n.Version = "v1\n" }, types.ErrInvalidVersion},
		"moniker empty":      {func(n *types.NodeInfo) { n.Moniker = "" }, types.ErrInvalidMoniker},
		"moniker delete":     {func(n *types.NodeInfo) { n.Moniker = "a\x7f" }, types.ErrInvalidMoniker},
		"moniker all":        {func(n *types.NodeInfo) { n.Moniker = " ~" }, nil},
		"rpc spaces":         {func(n *types.NodeInfo) { n.Other.RPCAddress = " " }, types.ErrInvalidRPCAddress},
		"rpc null":           {func(n *types.NodeInfo) { n.Other.RPCAddress = "a\x00" }, types.ErrInvalidRPCAddress},
		"tx index unchecked": {func(n *types.NodeInfo) { n.Other.TxIndex = "\xff" }, nil},
		"no channel":         {func(n *types.NodeInfo) { n.Channels = nil }, nil},
		"16 channels":        {func(n *types.NodeInfo) { n.Channels = []byte("0123456789abcdef") }, nil},
		"17 channels":        {func(n *types.NodeInfo) { n.Channels = []byte("0123456789abcdefg") }, types.ErrExcessiveChannels},
		"channel twice":      {func(n *types.NodeInfo) { n.Channels = []byte{1, 2, 1} }, types.ErrDuplicateChannels},
	} {
		t.Run(name, func(t *testing.T) {
			info := localInfo(t)
			c.change(&info)
			require.ErrorIs(t, info.Validate(), c.want)
		})
	}
}

func TestNodeInfoWithoutAddress(t *testing.T) {
	var info types.NodeInfo

	require.True(t, info.ID().IsZero())
	require.Nil(t, info.DialAddress())

	_, err := info.MarshalBinary()
	require.ErrorIs(t, err, types.ErrInvalidNetAddress)

	_, err = info.AppendDialectA(nil)
	require.ErrorIs(t, err, types.ErrInvalidID)
}

func TestNodeInfoCompatibleWithNamesBothSides(t *testing.T) {
	ours, theirs := localInfo(t), localInfo(t)
	require.NoError(t, ours.CompatibleWith(theirs))

	theirs.Network = "other-" + strings.Repeat("x", 5000)
	err := ours.CompatibleWith(theirs)
	require.ErrorIs(t, err, types.ErrIncompatibleNetworks)
	require.ErrorContains(t, err, `ours "wire-1", theirs "other-x`)
	require.Less(t, len(err.Error()), 500)

	theirs = localInfo(t)
	theirs.Channels = bytes.Repeat([]byte{0x77}, 5000)
	err = ours.CompatibleWith(theirs)
	require.ErrorIs(t, err, types.ErrNoCommonChannels)
	require.ErrorContains(t, err, "ours [40 20 21 22 23 30 50], theirs [77 77")
	require.Less(t, len(err.Error()), 500)

	theirs.VersionSet = nil
	require.ErrorIs(t, ours.CompatibleWith(theirs), types.ErrIncompatibleVersions, "versions come first")
}

func TestNodeInfoSizeLimit(t *testing.T) {
	info := localInfo(t)

	base, err := info.MarshalBinary()
	require.NoError(t, err)

	// One byte of moniker is one byte more, once its length takes two bytes.
	const limit = types.MaxNodeInfoSize - 2

	info.Moniker = strings.Repeat("m", limit-len(base)+len(info.Moniker)-1)

	largest, err := info.AppendBinary([]byte("kept"))
	require.NoError(t, err)
	require.Len(t, largest, len("kept")+limit)
	require.Equal(t, "kept", string(largest[:4]))
	require.Len(t, wire.AppendSized(nil, largest[4:]), types.MaxNodeInfoSize)

	var decoded types.NodeInfo

	require.NoError(t, decoded.UnmarshalBinary(largest[4:]))
	require.Equal(t, info, decoded)

	info.Moniker += "m"
	_, err = info.MarshalBinary()
	require.ErrorIs(t, err, types.ErrNodeInfoTooLarge)

	require.ErrorIs(t, decoded.UnmarshalBinary(make([]byte, limit+1)), types.ErrNodeInfoTooLarge)
	require.ErrorIs(t, decoded.UnmarshalDialectA(make([]byte, limit+1), tcpAddr("1.2.3.4", 5)), types.ErrNodeInfoTooLarge)
}

func TestNodeInfoNeverSendsAHostName(t *testing.T) {
	info := localInfo(t)
	info.NetAddress = &types.NetAddress{ID: testID, Hostname: "node.example", Port: 5}

	_, err := info.MarshalBinary()
	require.ErrorIs(t, err, types.ErrUnsetIPAddress)

	info.NetAddress.IP = []byte{1, 2, 3, 4}

	body, err := info.MarshalBinary()
	require.NoError(t, err)
	require.NotContains(t, string(body), "example")
	require.Contains(t, string(body), testID.String()+"@1.2.3.4:5")
}

func TestNodeInfoDialectA(t *testing.T) {
	body, err := localInfo(t).MarshalBinary()
	require.NoError(t, err)

	var info types.NodeInfo

	err = info.UnmarshalDialectA(body, tcpAddr("1.2.3.4", 5))
	require.ErrorIs(t, err, types.ErrInvalidID, "field 2 is an address")
	require.Zero(t, info)
}

func TestNodeInfoJSON(t *testing.T) {
	want := localInfo(t)

	text, err := json.Marshal(want)
	require.NoError(t, err)

	for _, key := range []string{
		"version_set", "net_address", "network", "software", "version", "channels", "moniker", "other", "tx_index", "rpc_address",
	} {
		require.Contains(t, string(text), `"`+key+`":`)
	}

	var got types.NodeInfo

	require.NoError(t, json.Unmarshal(text, &got))
	require.True(t, want.NetAddress.Equals(*got.NetAddress))

	got.NetAddress = want.NetAddress
	require.Equal(t, want, got)
}
