package dropin

import (
	"os"
	"reflect"
	"strings"
	"testing"

	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
)

// TestFromP2PConfig checks that every key of gno is converted, and that the defaults of both
// sides are equal.
func TestFromP2PConfig(t *testing.T) {
	require.Equal(t, *config.DefaultP2PConfig(), FromP2PConfig(*gnoconfig.DefaultP2PConfig()))

	var gno gnoconfig.P2PConfig
	fields := reflect.ValueOf(&gno).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); f.Kind() {
		case reflect.String:
			f.SetString(fields.Type().Field(i).Name)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint64:
			f.SetUint(uint64(i + 1))
		default:
			f.SetInt(int64(i + 1))
		}
	}
	ours := reflect.ValueOf(FromP2PConfig(gno))
	for i := range fields.NumField() {
		name := fields.Type().Field(i).Name
		field := ours.FieldByName(name)
		require.True(t, field.IsValid(), name)
		require.Equal(t, fields.Field(i).Interface(), field.Interface(), name)
	}
}

// TestPageListsTheKeys checks that the page lists every key of gno's section.
func TestPageListsTheKeys(t *testing.T) {
	data, err := os.ReadFile("../docs/dropin.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(data), "## What the keys of `[p2p]` mean\n")
	require.True(t, found)
	table, _, found = strings.Cut(table, "\n## ")
	require.True(t, found)
	var listed []string
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| `") {
			for key := range strings.SplitSeq(strings.Split(line, "|")[1], ",") {
				listed = append(listed, strings.Trim(key, " `"))
			}
		}
	}

	var keys []string
	section := reflect.TypeFor[gnoconfig.P2PConfig]()
	for i := range section.NumField() {
		keys = append(keys, section.Field(i).Tag.Get("toml"))
	}
	require.ElementsMatch(t, keys, listed)
}
