package bridgehttp

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

// nothing is a bridge of which only the types count.
type nothing struct{ Source }

func (nothing) Status() bridge.Status { return bridge.Status{} }

func TestPageListsTheMetrics(t *testing.T) {
	server, err := New(nothing{})
	require.NoError(t, err)
	pagetest.ListsMetrics(t, "docs/metrics.md", newCollector(server))
	require.NoError(t, server.Close())
}

// The page describes every field that the program answers or reads.
func TestPageListsTheFields(t *testing.T) {
	page := pagetest.Read(t, "docs/status.md")
	for _, v := range []any{Report{}, History{}, Request{}, Answer{}} {
		for _, name := range fields(reflect.TypeOf(v)) {
			require.Contains(t, page, "`"+name+"`")
		}
	}
}

// fields returns the names of a structure's JSON fields, and of those below it.
func fields(t reflect.Type) (names []string) {
	switch {
	case t.Kind() == reflect.Slice:
		return fields(t.Elem())
	case t.Kind() != reflect.Struct || t.PkgPath() == "time":
		return nil
	}
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
		names = append(names, fields(t.Field(i).Type)...)
	}

	return names
}
