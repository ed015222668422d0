package tomlvalue_test

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stored returns what Assign makes of the value in a field of type T.
func stored[T any](t *testing.T, from any) T {
	t.Helper()
	var field T
	require.NoError(t, tomlvalue.Assign("key", &field, from))

	return field
}

func TestAssign(t *testing.T) {
	require.Equal(t, "x", stored[string](t, "x"))
	require.True(t, stored[bool](t, true))
	require.Equal(t, -7, stored[int](t, int64(-7)))
	require.Equal(t, int64(math.MaxInt64), stored[int64](t, int64(math.MaxInt64)))
	require.Equal(t, uint64(7), stored[uint64](t, int64(7)))
	require.Equal(t, 1500*time.Microsecond, stored[time.Duration](t, "1.5ms"))
	require.Equal(t, map[string]any{"a": int64(1)}, stored[map[string]any](t, map[string]any{"a": int64(1)}))
}

func TestAssignRefuses(t *testing.T) {
	for _, tc := range []struct {
		field, from any
		reason      string
	}{
		{new("old"), int64(1), "it must be a string"},
		{new(true), "yes", "it must be true or false"},
		{new(5), 1.5, "it must be a whole number"},
		{new(int64(5)), "5", "it must be a whole number"},
		{new(uint64(5)), int64(-1), "it must be a whole number and not negative"},
		{new(time.Second), int64(100), `it must be a duration in quotes, as "100ms"`},
		{new(time.Second), "100", `it must be a duration with a unit, as "100ms"`},
		{new(map[string]any), int64(1), "it must be a section"},
		{new(1.5), 1.5, "not supported"},
	} {
		before, err := tomlvalue.Literal(tc.field)
		require.ErrorContains(t, tomlvalue.Assign("key", tc.field, tc.from), tc.reason)
		if err == nil {
			after, err := tomlvalue.Literal(tc.field)
			require.NoError(t, err)
			require.Equal(t, before, after, "the field was changed")
		}
	}
}

func TestLiteralIsReadBack(t *testing.T) {
	for _, s := range []string{"", "plain", `a"b`, `c:\d`, "line\nbreak", "ü", "'", `'"'`, "\x00\x1b\x7f\u009b\u2028", "a<b>&c"} {
		text, err := tomlvalue.Literal(&s)
		require.NoError(t, err)
		var read string
		warnings, err := tomlvalue.Parse([]byte("[s]\nk = "+text), tomlvalue.Section{Name: "s", Fields: map[string]any{"k": &read}})
		require.NoError(t, err, text)
		require.Empty(t, warnings)
		require.Equal(t, s, read)
	}
	for field, want := range map[any]string{
		new(true): "true", new(-1): "-1", new(int64(1 << 40)): "1099511627776",
		new(uint64(40)): "40", new(100 * time.Millisecond): `"100ms"`,
	} {
		text, err := tomlvalue.Literal(field)
		require.NoError(t, err)
		require.Equal(t, want, text)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	refused := errors.New("refused")
	load := func(verdict error) (*int, error) {
		length, warnings, err := tomlvalue.Load(path, func(data []byte) (*int, []string, error) {
			return new(len(data)), []string{"warning"}, verdict
		})
		if err == nil {
			require.Equal(t, []string{"warning"}, warnings)
		}

		return length, err
	}
	_, err := load(nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, path)

	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("#", 1<<20)), 0o600))
	length, err := load(nil)
	require.NoError(t, err)
	require.Equal(t, 1<<20, *length)
	_, err = load(refused)
	require.ErrorIs(t, err, refused)
	require.ErrorContains(t, err, path)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("#", 1<<20+1)), 0o600))
	_, err = load(nil)
	require.ErrorContains(t, err, path+" is longer than")
}

func TestParseJudgesOtherKeys(t *testing.T) {
	var known struct {
		N int  `toml:"n"`
		B bool `toml:"b"`
	}
	refused := errors.New("refused")
	warn := func(key string, value any) (string, error) {
		switch key {
		case "bad":
			return "", refused
		case "quiet":
			return "", nil
		}

		return fmt.Sprintf("%s %v", key, value), nil
	}
	document := tomlvalue.Section{Other: func(key string, _ any) (string, error) { return "document " + key, nil }}
	section := tomlvalue.Section{Name: "s", Fields: tomlvalue.Fields(&known), Other: warn}
	parse := func(text string) ([]string, error) { return tomlvalue.Parse([]byte(text), document, section) }

	warnings, err := parse("top = 1\n[s]\nz = 3\nn = 7\nquiet = 1\na = 2\n")
	require.NoError(t, err)
	require.Equal(t, []string{"document s", "document top", "a 2", "z 3"}, warnings)
	require.Equal(t, 7, known.N)
	require.False(t, known.B, "an absent key leaves its field")

	warnings, err = parse("")
	require.NoError(t, err)
	require.Empty(t, warnings)
	_, err = parse("[s]\nbad = 1")
	require.ErrorIs(t, err, refused)
	for text, key := range map[string]string{"s = 3": "s", "[s]\nn = \"x\"": "[s].n"} {
		_, err = parse(text)
		var bad *tomlvalue.FieldError
		require.ErrorAs(t, err, &bad, text)
		require.Equal(t, key, bad.Key)
	}
	_, err = parse("[s]\nn = \n")
	require.ErrorContains(t, err, "line 2")
}

func TestSplitList(t *testing.T) {
	require.Empty(t, tomlvalue.SplitList(""))
	require.Empty(t, tomlvalue.SplitList(" , ,"))
	require.Equal(t, []string{"a", "b c"}, tomlvalue.SplitList(" a ,, b c,"))
}

func TestSplitAddress(t *testing.T) {
	for address, want := range map[string]string{
		"tcp://0.0.0.0:26656": "0.0.0.0", "[::1]:26656": "::1", ":26656": "", "tcp://node.example:26656": "node.example",
	} {
		host, port, err := tomlvalue.SplitAddress(address)
		require.NoError(t, err, address)
		require.Equal(t, want, host)
		require.EqualValues(t, 26656, port)
	}
	for _, address := range []string{"", "0.0.0.0", "udp://0.0.0.0:1", "0.0.0.0:65536", "0.0.0.0:-1", "0.0.0.0:p2p", "::1:26656"} {
		_, _, err := tomlvalue.SplitAddress(address)
		require.Error(t, err, address)
	}
}

func TestCheckPeer(t *testing.T) {
	const id = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"
	for _, peer := range []string{id + "@127.0.0.1:1", id + "@[::1]:1", id + "@node.example:26656", strings.ToUpper(id) + "@127.0.0.1:1", "tcp://" + id + "@127.0.0.1:1"} {
		got, err := tomlvalue.CheckPeer(peer)
		require.NoError(t, err)
		require.EqualValues(t, id, got)
	}
	for _, peer := range []string{"", id, "127.0.0.1:1", "g1nobody@127.0.0.1:1", id + "@:1", id + "@127.0.0.1", id + "@h:0", id + "@h:00",
		id + "@0.0.0.0:1", id + "@[::]:1", id + "@255.255.255.255:1",
		"http://" + id + "@127.0.0.1:1", id + " @127.0.0.1:1", "G" + id[1:] + "@127.0.0.1:1"} {
		_, err := tomlvalue.CheckPeer(peer)
		require.Error(t, err, peer)
	}
}

func TestIDs(t *testing.T) {
	const id = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"
	const idm = "g12er44f65vdr5cq59mawm7272ku76v5f4g4wu2e" // the same with a bech32m checksum
	ids, err := tomlvalue.IDs("key", " g1nobody,, "+id+", "+strings.ToUpper(id)+","+idm)
	require.Equal(t, []types.ID{id, id, id}, ids)
	var bad *tomlvalue.FieldError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, "key", bad.Key)
	require.Equal(t, "g1nobody", bad.Value)
	require.ErrorContains(t, err, "it is not a TM2 ID")
}

func TestPeers(t *testing.T) {
	const id = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"
	peers, err := tomlvalue.Peers("key", id+"@127.0.0.1:1,"+id+"@0.0.0.0:1,"+id+"@nowhere.invalid:2")
	require.ErrorContains(t, err, `key = "`+id+`@0.0.0.0:1": `)
	require.Len(t, peers, 2)
	require.Equal(t, id+"@127.0.0.1:1", peers[0].String())
	require.Equal(t, "nowhere.invalid", peers[1].Hostname, "a name may resolve later")
}
