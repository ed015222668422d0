package history_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/crawl"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/history"
)

// moving returns summaries of a network that moves from native to libp2p.
func moving(n int) (list []crawl.Summary) {
	begin := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	for i := range n {
		list = append(list, crawl.Summary{
			Schema: crawl.Schema, Time: begin.Add(time.Duration(i) * 10 * time.Minute), Network: "moving", Complete: i > 0,
			Reachable: n, Native: n - i - 1, Both: i, Libp2p: 1, Versions: map[string]int{"v1.0.0": n},
		})
	}

	return list
}

func TestAppendAndRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history.jsonl")
	list := moving(3)
	for _, s := range list {
		require.NoError(t, history.Append(file, s))
	}
	read, warnings, err := history.Read(file)
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, list, read)
}

// A line that a crash has cut costs no other line.
func TestCutLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history.jsonl")
	list := moving(2)
	require.NoError(t, history.Append(file, list[0]))
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = f.WriteString(`{"schema":1,"ti`)
	require.NoError(t, errors.Join(err, f.Close()))
	require.NoError(t, history.Append(file, list[1]))
	read, warnings, err := history.Read(file)
	require.NoError(t, err)
	require.Equal(t, list, read)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "line 2")
}

func TestReadRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history.jsonl")
	_, _, err := history.Read(file)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, _, err = history.Read(file)
	require.ErrorIs(t, err, history.ErrEmpty)
	require.NoError(t, os.WriteFile(file, []byte(`{"schema":99}`), 0o600))
	_, _, err = history.Read(file)
	require.ErrorContains(t, err, "schema 99")
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("a"), 1<<20), 0o600))
	_, _, err = history.Read(file)
	require.ErrorContains(t, err, "too long")
}

func TestNetworkAndThin(t *testing.T) {
	list := moving(101)
	other := list[5]
	other.Network = "other"
	of, others := history.Network(append([]crawl.Summary{other}, list...), "")
	require.Equal(t, list, of)
	require.Equal(t, 1, others)
	of, _ = history.Network(append(list, other), "moving")
	require.Equal(t, list, of)
	thin := history.Thin(list, 11)
	require.Len(t, thin, 11)
	for i, s := range thin {
		require.Equal(t, list[10*i], s)
	}
	require.Equal(t, list, history.Thin(list, 200))
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, history.WriteTable(&out, moving(4)))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 5)
	require.Regexp(t, `^2026-08-01 12:00:00 +3 +0 +1 +25 % .*not complete$`, strings.TrimSpace(lines[1]))
	require.Regexp(t, `^2026-08-01 12:30:00 +0 +3 +1 +100 %`, strings.TrimSpace(lines[4]))
}

// The drawing is well-formed, whatever a network calls itself, and all of it is inside.
func TestSVG(t *testing.T) {
	for _, n := range []int{1, 2, 50, 5000} {
		list := moving(n)
		list[n-1].Network = "<script>&\x1b\u202e"
		var out bytes.Buffer
		require.NoError(t, history.WriteSVG(&out, list))
		require.Less(t, out.Len(), 100_000)
		require.NotContains(t, out.String(), "<script")
		paths := 0
		for d := xml.NewDecoder(bytes.NewReader(out.Bytes())); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			e, ok := token.(xml.StartElement)
			if !ok || e.Name.Local != "path" {
				continue
			}
			for _, a := range e.Attr {
				if a.Name.Local == "d" && strings.HasSuffix(a.Value, "Z") {
					paths++
					requireInside(t, a.Value)
				}
			}
		}
		require.Equal(t, 3, paths)
	}
}

func requireInside(t *testing.T, path string) {
	t.Helper()
	for _, point := range strings.Split(strings.Trim(path, "MZ"), "L") {
		var x, y float64
		_, err := fmt.Sscanf(point, "%f,%f", &x, &y)
		require.NoError(t, err, point)
		require.True(t, x >= 0 && x <= 960 && y >= 0 && y <= 420, point)
	}
}
