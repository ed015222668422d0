package stacktest

import (
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/bech32"
	"github.com/stretchr/testify/require"
)

// IDForms returns the texts that name the peer with the ID: the ID itself, the same in bech32m, and
// both in upper case.
func IDForms(t testing.TB, id string) []string {
	t.Helper()
	prefix, groups, err := bech32.Decode(id)
	require.NoError(t, err)
	m, err := bech32.EncodeM(prefix, groups)
	require.NoError(t, err)
	require.NotEqual(t, id, m)

	return []string{id, strings.ToUpper(id), m, strings.ToUpper(m)}
}

// MixedCase returns a text that is like the ID but names nobody.
func MixedCase(id string) string { return strings.ToUpper(id[:1]) + id[1:] }
