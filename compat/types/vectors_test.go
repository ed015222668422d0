package types_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// The recorded data is shared with the package that decodes it.
const (
	vectorsFile   = "../../internal/wire/testdata/vectors.json"
	malformedFile = "../../internal/wire/testdata/malformed.json"
)

// hexBytes is a byte string that is written in hex in the JSON files.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b

	return err
}

type vectors struct {
	NodeKeys []struct {
		PrivateKey hexBytes `json:"private_key_64"`
		PublicKey  hexBytes `json:"public_key"`
		NodeID     types.ID `json:"node_id"`
		JSON       struct {
			AB string `json:"A_B"`
			C  string `json:"C"`
		} `json:"node_key_json"`
		Indented struct {
			AB string `json:"A_B"`
			C  string `json:"C"`
		} `json:"node_key_json_indented"`
	} `json:"node_keys"`
	NodeInfo []struct {
		Name   string         `json:"name"`
		Fields nodeInfoFields `json:"fields"`
		A      hexBytes       `json:"A"`
		BC     hexBytes       `json:"B_C"`
		Valid  bool           `json:"passes_validation"`
	} `json:"node_info"`
	NetAddress []struct {
		Input    string `json:"input"`
		Encoded  string `json:"encoded"`
		Valid    bool   `json:"passes_dial_validation"`
		Reason   string `json:"reason"`
		Routable bool   `json:"routable"`
	} `json:"net_address"`
}

type nodeInfoFields struct {
	VersionSet types.VersionSet `json:"version_set"`
	PeerID     types.ID         `json:"peer_id"`
	NetAddress string           `json:"net_address"`
	Network    string           `json:"network"`
	Software   string           `json:"software"`
	Version    string           `json:"version"`
	Channels   hexBytes         `json:"channels"`
	Moniker    string           `json:"moniker"`
	Other      struct {
		TxIndex    string `json:"tx_index"`
		RPCAddress string `json:"rpc_address"`
	} `json:"other"`
}

func (f nodeInfoFields) info(tb testing.TB) types.NodeInfo {
	tb.Helper()

	address, err := types.ParseNetAddress(f.NetAddress)
	require.NoError(tb, err)

	info := types.NodeInfo{
		NetAddress: address,
		Network:    f.Network,
		Software:   f.Software,
		Version:    f.Version,
		Moniker:    f.Moniker,
		Other:      types.NodeInfoOther{TxIndex: f.Other.TxIndex, RPCAddress: f.Other.RPCAddress},
	}

	if len(f.VersionSet) > 0 {
		info.VersionSet = f.VersionSet
	}

	if len(f.Channels) > 0 {
		info.Channels = f.Channels
	}

	return info
}

func loadVectors(tb testing.TB) vectors {
	tb.Helper()

	raw, err := os.ReadFile(vectorsFile)
	require.NoError(tb, err)

	var v vectors

	require.NoError(tb, json.Unmarshal(raw, &v))
	require.NotEmpty(tb, v.NodeKeys)
	require.NotEmpty(tb, v.NodeInfo)
	require.NotEmpty(tb, v.NetAddress)

	return v
}

func readBody(tb testing.TB, sized []byte) []byte {
	tb.Helper()

	body, err := wire.ReadSized(bytes.NewReader(sized), types.MaxNodeInfoSize)
	require.NoError(tb, err)

	return body
}

func TestVectorsNodeKeys(t *testing.T) {
	for _, v := range loadVectors(t).NodeKeys {
		require.NoError(t, v.NodeID.Validate())
		require.Equal(t, v.NodeID, types.IDFromPublicKey([]byte(v.PublicKey)))

		for _, text := range []string{v.JSON.AB, v.JSON.C, v.Indented.AB, v.Indented.C} {
			path := filepath.Join(t.TempDir(), "node_key.json")
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))

			key, err := types.LoadNodeKey(path)
			require.NoError(t, err)
			require.Equal(t, []byte(v.PrivateKey), []byte(key.PrivKey))
			require.Equal(t, v.NodeID, key.ID())

			short, err := json.Marshal(key)
			require.NoError(t, err)
			require.Equal(t, v.JSON.C, string(short))

			indented, err := json.MarshalIndent(key, "", "  ")
			require.NoError(t, err)
			require.Equal(t, v.Indented.C, string(indented))
		}
	}
}

func TestVectorsNetAddress(t *testing.T) {
	file := loadVectors(t)
	id := file.NodeKeys[0].NodeID

	for _, v := range file.NetAddress {
		t.Run(v.Input, func(t *testing.T) {
			na, err := types.ParseNetAddress(types.NetAddressString(id, v.Input))
			require.NoError(t, err)
			require.Equal(t, v.Encoded, na.String())
			require.Equal(t, v.Routable, na.Routable())

			want := map[string]error{
				"":                                 nil,
				"unspecified":                      types.ErrUnspecifiedIP,
				"documentation range or broadcast": types.ErrInvalidIP,
			}
			require.Contains(t, want, v.Reason)
			require.Equal(t, v.Valid, want[v.Reason] == nil)
			require.ErrorIs(t, na.Validate(), want[v.Reason])
		})
	}
}

func TestVectorsNodeInfo(t *testing.T) {
	for _, v := range loadVectors(t).NodeInfo {
		t.Run(v.Name, func(t *testing.T) {
			want := v.Fields.info(t)

			var got types.NodeInfo

			require.NoError(t, got.UnmarshalBinary(readBody(t, v.BC)))
			require.Equal(t, want, got)
			require.Equal(t, v.Valid, got.Validate() == nil)
			require.Equal(t, v.Fields.PeerID, got.ID())

			body, err := got.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, []byte(v.BC), wire.AppendSized(nil, body))

			body, err = got.AppendDialectA(nil)
			require.NoError(t, err)
			require.Equal(t, []byte(v.A), wire.AppendSized(nil, body))

			require.ErrorIs(t, got.UnmarshalBinary(body), types.ErrBareNodeID)
			require.Equal(t, want, got, "changed by a failed decoding")

			require.NoError(t, got.UnmarshalDialectA(body, tcpAddr("192.0.2.7", 777)))
			require.Equal(t, v.Fields.PeerID.String()+"@192.0.2.7:777", got.NetAddress.String())

			got.NetAddress = want.NetAddress
			require.Equal(t, want, got)
		})
	}
}
