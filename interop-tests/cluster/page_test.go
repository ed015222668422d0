package cluster

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page names all tests of topologies and faults, and every test that it names
// exists.
func TestPageNamesItsTests(t *testing.T) {
	data, err := os.ReadFile("../../docs/validators.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(data), "## What shows it\n")
	require.True(t, found)
	named := make(map[string]bool)
	for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(section, -1) {
		named[name[1]] = true
	}

	defined := make(map[string]bool)
	for _, pattern := range []string{"*_test.go", "validator/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			code, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, name := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(code), -1) {
				defined[name[1]] = true
			}
		}
	}
	for name := range named {
		require.True(t, defined[name], "there is no %s", name)
	}
	for name := range defined {
		if strings.HasPrefix(name, "TestCluster") && name != "TestClusterGno" { // the reference, which promises nothing
			require.True(t, named[name], "the page does not name %s", name)
		}
	}
}
