package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

// TestLinesOfTheTroubleshootingPageExist checks that what the page quotes is in the source, or
// in the library of Go.
func TestLinesOfTheTroubleshootingPageExist(t *testing.T) {
	source := sources(t, "bridge", "bridge/bridgehttp", "cmd/tm2bridge", "cmd/tm2bridge/internal/config", "cmd/tm2bridge/internal/check",
		"bridge/tunnel", "adapter/native", "adapter/lp2p", "compat/types", "internal/tomlvalue")
	page := pagetest.Read(t, "docs/troubleshooting.md")
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")
	lines := row.FindAllStringSubmatch(page, -1)
	require.Greater(t, len(lines), 20)
	for _, line := range lines {
		require.True(t, line[1] == "address already in use" || strings.Contains(source, line[1]), line[1])
	}
	for _, quoted := range []string{"the bridge does not answer, does it run?", "this host name is not allowed", "the token is missing or wrong"} {
		require.Contains(t, page, "`"+quoted+"`")
		require.Contains(t, source, quoted)
	}
}

// sources returns the code of packages, without tests.
func sources(t *testing.T, folders ...string) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join("../..", folder, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files, folder)
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				data, err := os.ReadFile(file)
				require.NoError(t, err)
				all.Write(data)
			}
		}
	}

	return all.String()
}

// TestOperatorsPageIsTrue checks the exit statuses, the ports and the commands of the page.
func TestOperatorsPageIsTrue(t *testing.T) {
	page := pagetest.Read(t, "docs/operate.md")
	statuses := regexp.MustCompile(`(?m)^\| (\d) \| `).FindAllStringSubmatch(page, -1)
	require.Len(t, statuses, exitStop+1)
	for _, address := range []string{config.DefaultNativeAddress, config.DefaultLibp2pAddress, config.DefaultHTTPAddress} {
		require.Contains(t, page, "| TCP "+address[strings.LastIndex(address, ":")+1:]+" |")
	}
	for _, text := range []string{page, pagetest.Read(t, "README.md")} {
		commands := regexp.MustCompile("(?m)(?:^    |`|&& )tm2bridge ([a-z]+)").FindAllStringSubmatch(text, -1)
		require.NotEmpty(t, commands)
		for _, c := range commands {
			root := newRoot()
			root.InitDefaultCompletionCmd()
			found, _, err := root.Find([]string{c[1]})
			require.NoError(t, err, c[0])
			require.Equal(t, c[1], found.Name())
		}
	}
	for _, file := range regexp.MustCompile("`?deploy/([a-zA-Z0-9.-]+)").FindAllStringSubmatch(page, -1) {
		require.FileExists(t, filepath.Join("../../deploy", file[1]))
	}
}
