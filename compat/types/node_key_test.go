package types_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestGenerateNodeKey(t *testing.T) {
	one, two := types.GenerateNodeKey(), types.GenerateNodeKey()
	require.NotEqual(t, one.ID(), two.ID())
	require.NoError(t, one.ID().Validate())

	pub, ok := one.PrivKey.Public().(ed25519.PublicKey)
	require.True(t, ok)
	require.Equal(t, types.IDFromPublicKey(pub), one.ID())
	require.True(t, types.NodeKey{}.ID().IsZero())
}

func TestLoadOrMakeNodeKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "node_key.json")

	_, err := types.LoadNodeKey(path)
	require.ErrorIs(t, err, fs.ErrNotExist)

	made, err := types.LoadOrMakeNodeKey(path)
	require.NoError(t, err)

	again, err := types.LoadOrMakeNodeKey(path)
	require.NoError(t, err)
	require.Equal(t, made, again)

	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())

	replaced, err := types.GeneratePersistedNodeKey(path)
	require.NoError(t, err)
	require.NotEqual(t, made, replaced)

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "a temporary file was left")
}

func TestLoadOrMakeNodeKeyKeepsABrokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node_key.json")
	require.NoError(t, os.WriteFile(path, []byte("broken"), 0o600))

	_, err := types.LoadOrMakeNodeKey(path)
	require.ErrorIs(t, err, types.ErrInvalidNodeKey)

	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "broken", string(raw))
}

func TestGeneratePersistedNodeKeyFails(t *testing.T) {
	dir := t.TempDir()

	_, err := types.GeneratePersistedNodeKey(filepath.Join(dir, "missing", "node_key.json"))
	require.ErrorIs(t, err, fs.ErrNotExist)

	// A directory in place of the file cannot be replaced by a rename.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "node_key.json", "x"), 0o700))

	_, err = types.GeneratePersistedNodeKey(filepath.Join(dir, "node_key.json"))
	require.Error(t, err)

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "a temporary file was left")
}

func TestLoadNodeKeyRefuses(t *testing.T) {
	key := types.GenerateNodeKey()
	other := types.GenerateNodeKey()
	encode := func(priv []byte) string {
		text, err := json.Marshal(priv)
		require.NoError(t, err)

		return string(text)
	}
	good := encode(key.PrivKey)
	mixed := encode(append(key.PrivKey.Seed(), other.PrivKey[32:]...))

	numbers := strings.ReplaceAll(fmt.Sprint([]byte(key.PrivKey)), " ", ",")

	for name, c := range map[string]struct{ text, want string }{
		"empty file":           {"", "not a JSON file"},
		"two values":           {`{"priv_key":` + good + `}{}`, "not a JSON file"},
		"too large":            {`{"priv_key":` + good + `}` + string(bytes.Repeat([]byte(" "), 4096)), "larger than"},
		"not an object":        {good, "invalid node key"},
		"no key":               {`{}`, "no base64 string"},
		"null key":             {`{"priv_key":null}`, "no base64 string"},
		"short key":            {`{"priv_key":"AAAA"}`, "3 bytes instead of 64"},
		"number":               {`{"priv_key":5}`, "invalid node key"},
		"not base64":           {`{"priv_key":"***"}`, "base64"},
		"extra member":         {`{"priv_key":` + good + `,"x":1}`, "unknown field"},
		"other key's half":     {`{"priv_key":` + mixed + `}`, "public half does not belong to the seed"},
		"typed, other's half":  {`{"priv_key":{"@type":"/tm.PrivKeyEd25519","value":` + mixed + `}}`, "public half does not belong to the seed"},
		"typed, extra member":  {`{"priv_key":{"@type":"/tm.PrivKeyEd25519","value":` + good + `,"x":1}}`, "unknown field"},
		"typed, no type":       {`{"priv_key":{"value":` + good + `}}`, `type ""`},
		"typed, another type":  {`{"priv_key":{"@type":"/tm.PrivKeySecp256k1","value":` + good + `}}`, "Secp256k1"},
		"typed, no value":      {`{"priv_key":{"@type":"/tm.PrivKeyEd25519"}}`, "no base64 string"},
		"typed, value nested":  {`{"priv_key":{"@type":"/tm.PrivKeyEd25519","value":{}}}`, "invalid node key"},
		"array of numbers":     {`{"priv_key":` + numbers + `}`, "no base64 string"},
		"deeply nested arrays": {`{"priv_key":` + string(bytes.Repeat([]byte("["), 2000)) + `}`, "not a JSON file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "node_key.json")
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))

			_, err := types.LoadNodeKey(path)
			require.ErrorIs(t, err, types.ErrInvalidNodeKey)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestNodeKeyPrintsWithoutTheKey(t *testing.T) {
	key := types.GenerateNodeKey()
	holder := struct{ Key types.NodeKey }{*key}

	var log bytes.Buffer

	slog.New(slog.NewJSONHandler(&log, nil)).Info("started", "key", key)

	seed := fmt.Sprint([]byte(key.PrivKey[:4]))
	for _, text := range []string{fmt.Sprint(key), fmt.Sprintf("%+v %#v", holder, holder), log.String()} {
		require.Contains(t, text, key.ID().String())
		require.NotContains(t, text, seed[1:len(seed)-1])
		require.NotContains(t, text, "priv_key")
	}
}
