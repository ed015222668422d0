package dropin

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each row of the table names a test, and each that it names exists.
func TestPageNamesItsTests(t *testing.T) {
	page, err := os.ReadFile("../docs/dropin.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "## What shows it\n")
	require.True(t, found)
	var code strings.Builder
	for _, pattern := range []string{"*_test.go", "../interop-tests/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			code.Write(data)
		}
	}
	named := regexp.MustCompile("`((?:Test|Example)[A-Za-z0-9]*)`")
	rows := 0
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| Promise") {
			continue
		}
		rows++
		names := named.FindAllStringSubmatch(line, -1)
		require.NotEmpty(t, names, line)
		for _, name := range names {
			require.Contains(t, code.String(), "func "+name[1]+"(")
		}
	}
	require.Greater(t, rows, 10)
}
