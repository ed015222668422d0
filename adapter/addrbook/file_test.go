package addrbook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// tm2File is what TM2 v1.7.1 reads and writes.
type tm2File struct {
	Peers []struct {
		Addr          string `json:"addr"`
		LastSeen      int64  `json:"last_seen"`
		LastConnected int64  `json:"last_connected,omitempty"`
	} `json:"peers"`
}

const (
	idA = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"
	idB = "g1zw0rjs8xfd2fzu3q3rv6p46pv28usfhqc8742q"
)

// written writes a book file.
func written(t *testing.T, content string) (path string) {
	t.Helper()
	path = bookPath(t)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))

	return path
}

// folder lists the names beside the path.
func folder(t *testing.T, path string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	for _, f := range files {
		names = append(names, f.Name())
	}

	return names
}

// A peer that the file must not have is known until the node ends, and not named as a source. A
// former file that has it is written anew.
func TestUnsavedPeers(t *testing.T) {
	path := bookPath(t)
	former, secret, private, other := openBook(t, path), addrAt("1.2.3.4", 1), addrAt("1.3.3.4", 1), addrAt("5.6.7.8", 2)
	hint := addrAt("9.8.7.6", 3)
	former.MarkConnected(secret, true)
	former.MarkConnected(other, true)
	require.Equal(t, 1, former.Add(addrbook.Source{ID: secret.ID, IP: secret.IP}, hint))
	require.Equal(t, 1, former.Add(addrbook.Source{ID: private.ID, IP: private.IP}, addrAt("9.7.7.6", 3)))
	require.NoError(t, former.Save())

	b, err := addrbook.Open(path, types.NetAddress{}, addrbook.WithUnsavedPeers([]types.ID{secret.ID}),
		addrbook.WithPrivatePeers([]types.ID{private.ID}))
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, b.Save())
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Contains(t, string(text), other.String())
		require.Contains(t, string(text), hint.String())
		for _, addr := range []*types.NetAddress{secret, private} {
			require.NotContains(t, string(text), string(addr.ID))
			require.NotContains(t, string(text), addr.IP.String()[:4])
		}
		b.MarkConnected(secret, true)
		b.Add(addrbook.Source{ID: secret.ID, IP: secret.IP}, addrAt("9.6.7.6", 4))
		require.Len(t, b.Of(secret.ID), 1)
	}
}

func TestSavedBookIsReadByTM2AndUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := bookPath(t)
		b := openBook(t, path)
		verified, hint := addrAt("1.2.3.4", 1), addrAt("2600::1", 2)
		connected := time.Now().Unix()
		b.MarkConnected(verified, true)
		pass(time.Hour)
		require.Equal(t, 1, b.Add(sourceAt("9.9.9.9"), hint))
		require.NoError(t, b.Save())

		var file tm2File
		readJSON(t, path, &file)
		require.Len(t, file.Peers, 2)
		require.Equal(t, verified.String(), file.Peers[0].Addr)
		require.Equal(t, connected, file.Peers[0].LastConnected)
		require.Equal(t, connected, file.Peers[0].LastSeen)
		require.Equal(t, hint.String(), file.Peers[1].Addr)
		require.Zero(t, file.Peers[1].LastConnected)
		require.Equal(t, time.Now().Unix(), file.Peers[1].LastSeen)

		info, err := os.Stat(path)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())
		require.Equal(t, []string{"addrbook.json"}, folder(t, path))

		again := openBook(t, path)
		require.Equal(t, texts(b.Addresses()), texts(again.Addresses()))
		again.MarkFailed(hint)
		require.NoError(t, again.Flush())
		require.NoError(t, openBook(t, path).Flush())
	})
}

func TestBookOfTM2IsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().Unix()
		path := written(t, fmt.Sprintf("{\n\t\"peers\": [\n\t\t{\n\t\t\t\"addr\": \"%s@1.2.3.4:26656\",\n\t\t\t\"last_seen\": %d\n\t\t},"+
			"\n\t\t{\n\t\t\t\"addr\": \"%s@[2600::1]:26657\",\n\t\t\t\"last_seen\": %d,\n\t\t\t\"last_connected\": %d\n\t\t}\n\t]\n}",
			idA, now-10, idB, now-100, now-50))
		b := openBook(t, path)
		require.Equal(t, []string{idB + "@[2600::1]:26657", idA + "@1.2.3.4:26656"}, texts(b.Addresses()))
	})
}

func TestHalfValidBookKeepsTheValidEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		days := func(n int) int64 { return now.Add(-time.Duration(n) * 24 * time.Hour).Unix() }
		entries := []string{
			fmt.Sprintf(`{"addr":"%s@1.2.3.4:1","last_seen":%d}`, idA, days(0)),
			`{"addr":"junk","last_seen":1}`,
			`5`, `null`, `"text"`, `{}`, `[]`,
			fmt.Sprintf(`{"addr":"%s@0.0.0.0:1"}`, idA),
			fmt.Sprintf(`{"addr":"%s@1.2.3.4:0"}`, idA),
			fmt.Sprintf(`{"addr":"%s@node.example:1"}`, idA),
			fmt.Sprintf(`{"addr":"%s@1.2.3.4:2","last_seen":"x"}`, idA),
			fmt.Sprintf(`{"addr":"%s@1.2.3.4:3","last_seen":%d}`, idA, days(31)),
			fmt.Sprintf(`{"addr":"%s@1.2.3.4:4","last_seen":%d,"last_connected":%d}`, idA, days(60), days(29)),
			fmt.Sprintf(`{"addr":"%s@1.2.3.4:5","last_seen":%d,"last_connected":%d}`, idA, days(31), days(60)),
			fmt.Sprintf(`{"addr":"%s@1.2.3.4:6","more":[1,{"x":null}]}`, idB),
			fmt.Sprintf(`{"addr":"%s@1.2.3.4:7","last_seen":%d,"last_connected":%d,"failures":-5}`, idB, days(-1000), int64(1)<<62),
		}
		path := written(t, `{"version":7,"peers":[`+strings.Join(entries, ",")+`]}`)
		var log bytes.Buffer
		b := openBook(t, path, addrbook.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		require.Equal(t, []string{
			idB + "@1.2.3.4:7", idA + "@1.2.3.4:4", idA + "@1.2.3.4:1", idB + "@1.2.3.4:6",
		}, texts(b.Addresses()))
		require.Contains(t, log.String(), "invalid=10")
		require.Contains(t, log.String(), "expired=2")
		require.Contains(t, log.String(), "kept=4")

		require.NoError(t, b.Save())
		var file tm2File
		readJSON(t, path, &file)
		require.Len(t, file.Peers, 4)
		for _, p := range file.Peers {
			require.LessOrEqual(t, p.LastSeen, now.Unix())
			require.LessOrEqual(t, p.LastConnected, now.Unix())
		}
		require.Equal(t, []string{"addrbook.json"}, folder(t, path))
	})
}

func TestCorruptBookIsSetAside(t *testing.T) {
	valid := fmt.Sprintf(`{"peers":[{"addr":"%s@1.2.3.4:1"}]}`, idA)
	for name, content := range map[string]string{
		"empty":        "",
		"zeros":        strings.Repeat("\x00", 4096),
		"cut off":      valid[:len(valid)-1],
		"twice":        valid + valid,
		"not a book":   `"text"`,
		"a list":       `[1]`,
		"other peers":  `{"peers":{"a":1}}`,
		"deeply inset": strings.Repeat("[", 1<<20),
		"too large":    valid + strings.Repeat(" ", 4<<20),
	} {
		t.Run(name, func(t *testing.T) {
			path := written(t, content)
			var log bytes.Buffer
			b := openBook(t, path, addrbook.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			require.Zero(t, b.Size())
			kept, err := os.ReadFile(path + ".corrupt")
			require.NoError(t, err)
			require.Equal(t, content, string(kept))
			require.Equal(t, []string{"addrbook.json.corrupt"}, folder(t, path))
			require.Contains(t, log.String(), "level=ERROR")
			require.Contains(t, log.String(), path+".corrupt")

			b.MarkConnected(addrAt("1.2.3.4", 1), true)
			require.NoError(t, b.Save())
			require.Equal(t, 1, openBook(t, path).Size())
		})
	}
}

// A file as large as the limit is a book; nothing is said of one that is empty.
func TestUnusualBooksAreRead(t *testing.T) {
	valid := fmt.Sprintf(`{"peers":[{"addr":"%s@1.2.3.4:1"}]}`, idA)
	for content, size := range map[string]int{
		valid + strings.Repeat(" ", 4<<20-len(valid)): 1,
		`{}`:                       0,
		`null`:                     0,
		`{"peers":null}`:           0,
		`{"peers":[]}`:             0,
		"  " + valid + "\n":        1,
		`{"other":1,` + valid[1:]:  1,
		`{"peers":[],` + valid[1:]: 1,
	} {
		path := written(t, content)
		require.Equal(t, size, openBook(t, path).Size(), "%.40s", content)
		require.Equal(t, []string{"addrbook.json"}, folder(t, path))
	}
}

func TestCorruptBooksAreNumberedAndBounded(t *testing.T) {
	path := written(t, "")
	for i := range 15 {
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, "bad %d", i), 0o600))
		openBook(t, path)
	}
	want := map[string]string{"": "bad 0", ".9": "bad 14"}
	for i := 1; i <= 8; i++ {
		want[fmt.Sprintf(".%d", i)] = fmt.Sprintf("bad %d", i)
	}
	require.Len(t, folder(t, path), len(want))
	for suffix, content := range want {
		kept, err := os.ReadFile(path + ".corrupt" + suffix)
		require.NoError(t, err)
		require.Equal(t, content, string(kept))
	}
}

// A crash while the new file is written, or before it is renamed, leaves the old
// one, and what is left over does not disturb.
func TestCrashBeforeTheRename(t *testing.T) {
	path := bookPath(t)
	b := openBook(t, path)
	addr := addrAt("1.2.3.4", 1)
	b.MarkConnected(addr, true)
	require.NoError(t, b.Save())
	require.NoError(t, os.WriteFile(path+".tmp", []byte(`{"peers":[{"ad`), 0o644))

	b = openBook(t, path)
	require.Equal(t, []string{addr.String()}, texts(b.Addresses()))
	require.Equal(t, []string{"addrbook.json"}, folder(t, path))

	// Another crash, after which the running node saves.
	require.NoError(t, os.WriteFile(path+".tmp", []byte("left"), 0o644))
	b.MarkConnected(addrAt("1.2.3.4", 2), true)
	require.NoError(t, b.Save())
	require.Equal(t, []string{"addrbook.json"}, folder(t, path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	require.Equal(t, 2, openBook(t, path).Size())
}

func TestUnwritablePathIsAnError(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	folder := filepath.Join(dir, "folder")
	require.NoError(t, os.Mkdir(folder, 0o700))
	blocked := filepath.Join(dir, "blocked")
	require.NoError(t, os.MkdirAll(filepath.Join(blocked+".tmp", "x"), 0o700))
	for path, want := range map[string]error{
		filepath.Join(dir, "missing", "book"): os.ErrNotExist,
		filepath.Join(file, "book"):           nil,
		folder:                                addrbook.ErrNotAFile,
		blocked:                               nil,
	} {
		_, err := addrbook.Open(path, types.NetAddress{})
		require.ErrorContains(t, err, path)
		if want != nil {
			require.ErrorIs(t, err, want)
		}
	}
}

// A save that fails leaves the old file and is tried again with the next one.
func TestFailedSaveIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := bookPath(t)
		b := openBook(t, path)
		b.MarkConnected(addrAt("1.2.3.4", 1), true)
		// A folder in the place of the file cannot be renamed over.
		require.NoError(t, os.MkdirAll(filepath.Join(path, "x"), 0o700))
		require.ErrorContains(t, b.Save(), path)
		require.Equal(t, []string{"addrbook.json"}, folder(t, path), "no temporary file stays")
		require.Error(t, b.Save())

		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, b.Save())
		require.Equal(t, 1, openBook(t, path).Size())
		require.NoError(t, os.Remove(path))
		require.NoError(t, b.Save())
		require.NoFileExists(t, path, "nothing has changed since")
	})
}

// New times alone are saved seldom, everything else at the next save.
func TestWhatIsWorthASave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := bookPath(t)
		b := openBook(t, path)
		addr := addrAt("1.2.3.4", 1)
		saves := func() bool {
			require.NoError(t, b.Save())
			err := os.Remove(path)

			return err == nil
		}
		require.False(t, saves(), "an empty book")
		b.Add(sourceAt("9.9.9.9"), addr)
		require.True(t, saves(), "a hint")
		b.Add(sourceAt("9.9.9.9"), addr)
		require.False(t, saves(), "the hint again")
		b.MarkConnected(addr, false)
		require.True(t, saves(), "verified")
		b.MarkConnected(addr, false)
		require.False(t, saves(), "still connected")
		b.MarkConnected(addr, true)
		require.True(t, saves(), "to be told")
		b.MarkFailed(addr)
		require.False(t, saves(), "failed")
		pass(10 * time.Minute)
		require.True(t, saves(), "after a while")
		b.MarkConnected(addr, true)
		require.True(t, saves(), "works again")
		pass(time.Hour)
		require.False(t, saves())
		b.MarkConnected(addr, true)
		require.True(t, saves(), "still connected after a while")
		b.Add(sourceAt("9.9.9.9"), addr)
		require.False(t, saves())
		require.NoError(t, b.Flush())
		require.NoError(t, os.Remove(path), "Flush saves times too")
		require.NoError(t, b.Flush())
		require.NoFileExists(t, path)
		b.MarkPrivate(addr.ID)
		require.True(t, saves(), "private")
	})
}

func TestExtraFieldsAreJSON(t *testing.T) {
	path := bookPath(t)
	b := openBook(t, path)
	source := sourceAt("9.9.9.9")
	b.Add(source, addrAt("1.2.3.4", 1))
	require.NoError(t, b.Save())
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, json.Valid(raw))
	require.Contains(t, string(raw), `"source": "`+source.ID.String()+`"`)
	require.Contains(t, string(raw), `"source_group": "9.9.0.0/16"`)
}

// An ID is one peer, and private, however the file writes it.
func TestFileMayWriteIDsInUpperCase(t *testing.T) {
	path := written(t, `{"peers":[{"addr":"`+strings.ToUpper(idA)+`@1.2.3.4:1"},{"addr":"`+idA+`@1.2.3.4:1"}]}`)
	require.Equal(t, []string{idA + "@1.2.3.4:1"}, texts(openBook(t, path).Addresses()))
	require.Zero(t, openBook(t, path, addrbook.WithPrivatePeers([]types.ID{idA})).Size())
}
