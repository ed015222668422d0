package types_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

func FuzzParseNetAddress(f *testing.F) {
	for _, v := range loadVectors(f).NetAddress {
		f.Add(v.Encoded)
	}

	for _, c := range loadByteCases(f) {
		if addrs, _, err := wire.DecodeDiscovery(c.Input); err == nil {
			for _, addr := range addrs {
				f.Add(addr)
			}
		}
	}

	f.Fuzz(func(t *testing.T, text string) {
		na, err := types.ParseNetAddress(text)
		if err != nil {
			require.Nil(t, na)

			return
		}

		again, err := types.ParseNetAddress(na.String())
		require.NoError(t, err)
		require.Equal(t, na, again)
		require.True(t, na.Equals(*again))

		if na.Routable() {
			require.NoError(t, na.Validate())
		}
	})
}

func FuzzNodeInfo(f *testing.F) {
	for _, c := range loadByteCases(f) {
		if c.Kind != "node-info" {
			continue
		}

		if body, err := wire.ReadSized(bytes.NewReader(c.Input), types.MaxNodeInfoSize); err == nil {
			f.Add(body)
		}
	}

	for _, v := range loadVectors(f).NodeInfo {
		f.Add(readBody(f, v.A))
		f.Add(readBody(f, v.BC))
	}

	local := localInfo(f)
	socket := tcpAddr("1.2.3.4", 5)

	f.Fuzz(func(t *testing.T, body []byte) {
		var bare types.NodeInfo
		if err := bare.UnmarshalDialectA(body, socket); err == nil {
			require.ErrorIs(t, new(types.NodeInfo).UnmarshalBinary(body), types.ErrBareNodeID)
		}

		var info types.NodeInfo
		if err := info.UnmarshalBinary(body); err != nil {
			require.Zero(t, info)

			return
		}

		if err := errors.Join(info.Validate(), local.CompatibleWith(info)); err != nil {
			require.Less(t, len(err.Error()), 20_000)
		}

		encoded, err := info.MarshalBinary()
		if len(body) > types.MaxNodeInfoSize-100 && errors.Is(err, types.ErrNodeInfoTooLarge) {
			return // the canonical form of an IPv6 address may be longer
		}

		require.NoError(t, err)

		var again types.NodeInfo

		require.NoError(t, again.UnmarshalBinary(encoded))
		require.Equal(t, info, again)
	})
}

func FuzzNodeKeyJSON(f *testing.F) {
	for _, v := range loadVectors(f).NodeKeys {
		f.Add([]byte(v.JSON.AB))
		f.Add([]byte(v.Indented.C))
	}

	for _, c := range loadByteCases(f) {
		if c.Kind == "node-key-file" {
			f.Add([]byte(c.Text))
		}
	}

	f.Fuzz(func(t *testing.T, text []byte) {
		var key types.NodeKey
		if err := json.Unmarshal(text, &key); err != nil {
			require.Nil(t, key.PrivKey)

			return
		}

		require.NoError(t, key.ID().Validate())

		written, err := json.Marshal(key)
		require.NoError(t, err)

		var again types.NodeKey

		require.NoError(t, json.Unmarshal(written, &again))
		require.Equal(t, key, again)
	})
}
