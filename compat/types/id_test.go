package types_test

import (
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/bech32"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	testID  types.ID = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"
	testIDm types.ID = "g12er44f65vdr5cq59mawm7272ku76v5f4g4wu2e" // the same with a bech32m checksum
)

func TestIDValidate(t *testing.T) {
	require.NoError(t, testID.Validate())
	require.NoError(t, testIDm.Validate())
	require.NoError(t, types.ID(strings.ToUpper(testID.String())).Validate())

	groups, err := bech32.ConvertBits(make([]byte, 19), 8, 5, true)
	require.NoError(t, err)

	short, err := bech32.Encode("g", groups)
	require.NoError(t, err)

	otherPart, err := bech32.EncodeFromBase256("gno", make([]byte, 20))
	require.NoError(t, err)

	for name, id := range map[string]string{
		"empty":               "",
		"no separator":        "g",
		"wrong checksum":      "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0q",
		"mixed case":          "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0M",
		"19 bytes":            short,
		"human-readable part": otherPart,
		"space in front":      " " + testID.String(),
		"not ASCII":           "gü" + testID.String(),
		"very long":           "g1" + strings.Repeat("q", 10_000),
	} {
		require.ErrorIs(t, types.ID(id).Validate(), types.ErrInvalidID, name)
	}
}

// One peer has one ID, however a person writes it.
func TestParseID(t *testing.T) {
	for _, text := range []string{testID.String(), testIDm.String(), strings.ToUpper(testID.String()), strings.ToUpper(testIDm.String())} {
		id, err := types.ParseID(text)
		require.NoError(t, err, text)
		require.Equal(t, testID, id)
		require.Equal(t, testID, types.ID(text).Canonical())

		for _, host := range []string{"192.0.2.1", "nowhere.invalid"} {
			addr, err := types.NewConfiguredNetAddress(text + "@" + host + ":1")
			require.NoError(t, err)
			require.Equal(t, testID, addr.ID)
		}
	}

	for _, text := range []string{"", "g1nobody", " " + testID.String(), testID.String() + " ", "G" + testID.String()[1:], "tcp://" + testID.String()} {
		_, err := types.ParseID(text)
		require.ErrorIs(t, err, types.ErrInvalidID, text)
		require.Equal(t, types.ID(text), types.ID(text).Canonical(), "an invalid ID stays as it is")
	}
}

func TestIDFromPublicKeyRefusesOtherLengths(t *testing.T) {
	for _, n := range []int{0, 31, 33, 64} {
		require.True(t, types.IDFromPublicKey(make([]byte, n)).IsZero(), "%d bytes", n)
	}
}

func TestNewIDFromStrings(t *testing.T) {
	ids, errs := types.NewIDFromStrings([]string{"junk", testID.String(), "", testIDm.String()})
	require.Equal(t, []types.ID{testID, testID}, ids)
	require.Len(t, errs, 2)

	for _, err := range errs {
		require.ErrorIs(t, err, types.ErrInvalidID)
	}
}
