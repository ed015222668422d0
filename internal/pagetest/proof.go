package pagetest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	// namedTest is a test as a page names it: by itself, or behind its folder.
	namedTest   = regexp.MustCompile("`(?:([a-z0-9/-]+)/)?((?:Test|Example|Fuzz)[A-Za-z0-9_]*)`")
	definedTest = regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz)\w*)\(`)
)

// Row is a row of a table that names tests.
type Row struct {
	Text  string
	Tests []string // without folders
}

// Proofs returns the rows of the table below the heading of a page, which is a path
// from the root of the repository; the row of titles is left out. It fails the test
// unless there are rows, and unless each test that they name is defined: in the folder
// that the name begins with, or else in one of the folders. Folders are paths from the
// root, too.
func Proofs(t testing.TB, page, heading string, folders ...string) []Row {
	t.Helper()
	_, section, found := strings.Cut(Read(t, page), heading+"\n")
	require.True(t, found, "%s has no %q", page, heading)
	_, table, found := strings.Cut(section, "|---|")
	require.True(t, found, "%s has no table below %q", page, heading)
	table, _, _ = strings.Cut(table, "\n#") // the next section

	defined := Defined(t, folders...)
	var rows []Row
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		row := Row{Text: line}
		for _, name := range namedTest.FindAllStringSubmatch(line, -1) {
			where := defined
			if name[1] != "" {
				where = Defined(t, name[1])
			}
			require.True(t, where[name[2]], "%s names %s, which does not exist", page, name[0])
			row.Tests = append(row.Tests, name[2])
		}
		rows = append(rows, row)
	}
	require.NotEmpty(t, rows, page)

	return rows
}

// Defined returns the tests, examples and fuzz tests that the files of the folders
// define; folders are paths from the root of the repository.
func Defined(t testing.TB, folders ...string) map[string]bool {
	t.Helper()
	defined := make(map[string]bool)
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(root(t), filepath.FromSlash(folder), "*_test.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files, "no tests in %s", folder)
		for _, file := range files {
			code, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, name := range definedTest.FindAllStringSubmatch(string(code), -1) {
				defined[name[1]] = true
			}
		}
	}

	return defined
}

// Read returns a page, or another file, at a path from the root of the repository.
func Read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(path)))
	require.NoError(t, err)

	return string(data)
}

// root is the folder of go.work, at or above that of the test.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		require.NotEqual(t, dir, parent, "no go.work above the test")
		dir = parent
	}
}
