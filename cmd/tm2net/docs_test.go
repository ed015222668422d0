package main

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/crawl"
	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

// TestPageIsTrue checks the commands and flags that pages name, and the fields of a node.
func TestPageIsTrue(t *testing.T) {
	page := pagetest.Read(t, "docs/tm2net.md")
	for _, text := range []string{page, pagetest.Read(t, "README.md"), pagetest.Read(t, "docs/operate.md"), pagetest.Read(t, "CONTRIBUTING.md")} {
		for _, c := range regexp.MustCompile("(?m)(?:^    |`|cmd/)tm2net ([a-z]+)((?: [^`\n]*)?)").FindAllStringSubmatch(text, -1) {
			root := newRoot()
			root.InitDefaultCompletionCmd()
			found, _, err := root.Find([]string{c[1]})
			require.NoError(t, err, c[0])
			require.Equal(t, c[1], found.Name())
			for _, flag := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(c[2], -1) {
				require.NotNil(t, found.Flags().Lookup(flag[1]), c[0])
			}
		}
	}
	for _, cmd := range newRoot().Commands() {
		if cmd.Name() != "version" {
			require.Regexp(t, "(?m)^## .*"+cmd.Name(), page)
		}
	}
	var fields []string
	for i := range reflect.TypeFor[crawl.Node]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[crawl.Node]().Field(i).Tag.Get("json"), ",")
		fields = append(fields, name)
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(page, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			require.Contains(t, fields, name[1])
		}
	}
}
