package pagetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// repository makes a folder with go.work and the files the root of the test.
func repository(t *testing.T, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	files["go.work"] = ""
	for path, text := range files {
		path = filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "below"), 0o755))
	t.Chdir(filepath.Join(dir, "below"))
}

// failing is a test that notes its failure instead of ending.
type failing struct {
	testing.TB
	failed bool
}

func (f *failing) Errorf(string, ...any) { f.failed = true }
func (f *failing) FailNow()              { panic(f) }

// fails reports whether f fails the test that it is given.
func fails(t *testing.T, f func(t testing.TB)) (failed bool) {
	t.Helper()
	tb := &failing{TB: t}
	defer func() {
		if r := recover(); r != nil && r != any(tb) {
			panic(r)
		}
		failed = tb.failed
	}()
	f(tb)

	return false
}

const head = "## Proof\n\nWords.\n\n| Promise | Test |\n|---|---|\n"

func TestProofs(t *testing.T) {
	repository(t, map[string]string{
		"a/a_test.go":      "package a\n\nfunc TestA(t *testing.T) {}\n",
		"b/c/c_test.go":    "package c\n\nfunc ExampleC() {}\n\nfunc FuzzC(f *testing.F) {}\n",
		"docs/good.md":     head + "| one | `TestA` |\n| two | `b/c/ExampleC`, `b/c/FuzzC` |\n| three | a command |\n\n## More\n\n| four | `TestD` |\n",
		"docs/bad.md":      head + "| one | `TestB` |\n",
		"docs/folder.md":   head + "| one | `b/c/TestA` |\n",
		"docs/empty.md":    head,
		"docs/headless.md": "| Promise | Test |\n|---|---|\n| one | `TestA` |\n",
	})
	rows := Proofs(t, "docs/good.md", "## Proof", "a")
	require.Len(t, rows, 3)
	require.Equal(t, []string{"TestA"}, rows[0].Tests)
	require.Equal(t, []string{"ExampleC", "FuzzC"}, rows[1].Tests)
	require.Empty(t, rows[2].Tests)
	for _, page := range []string{"bad", "folder", "empty", "headless", "none"} {
		require.True(t, fails(t, func(t testing.TB) { Proofs(t, "docs/"+page+".md", "## Proof", "a") }), page)
	}
}

func TestListsMetrics(t *testing.T) {
	repository(t, map[string]string{"docs/metrics.md": "| `tm2_x_total` | what |\n"})
	counter := func(name string) prometheus.Collector {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "tm2", Name: name})
	}
	ListsMetrics(t, "docs/metrics.md", counter("x_total"))
	require.True(t, fails(t, func(t testing.TB) { ListsMetrics(t, "docs/metrics.md", counter("y_total")) }))
}

func TestEachReportNamesItsTests(t *testing.T) {
	for _, row := range Proofs(t, "docs/reports.md", "# Reports of operators, tried on this project") {
		require.NotEmpty(t, row.Tests, row.Text)
	}
}
