package discovery_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var namedTest = regexp.MustCompile("`([a-z0-9/-]+)/(Test[A-Za-z0-9_]+)`")

// Every promise of the page names tests, and all of them exist.
func TestPageNamesItsTests(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "discovery-dht.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "| Promise | Test |\n|---|---|\n")
	require.True(t, found)
	for row := range strings.Lines(table) {
		require.Regexp(t, namedTest, row)
	}
	for _, name := range namedTest.FindAllStringSubmatch(table, -1) {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(name[1]), "*_test.go"))
		require.NoError(t, err)
		exists := false
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			exists = exists || strings.Contains(string(source), "\nfunc "+name[2]+"(t *testing.T) {")
		}
		require.True(t, exists, name[0])
	}
}
