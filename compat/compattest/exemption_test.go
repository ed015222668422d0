package compattest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExemptions(t *testing.T) {
	var ran []string
	cases := []promiseCase{
		{"Group/Kept", func(*testing.T) { ran = append(ran, "kept") }},
		{"Group/Broken", func(*testing.T) { ran = append(ran, "broken") }},
	}
	broken := Exemption{Promise: "Group/Broken", Why: "by design"}
	require.NoError(t, checkExemptions([]Exemption{broken}, cases))
	runPromises(t, []Exemption{broken}, cases)
	require.Equal(t, []string{"kept"}, ran, "the exempted promise is skipped")

	require.ErrorContains(t, checkExemptions([]Exemption{{Promise: "Group/Gone", Why: "it was"}}, cases), `"Group/Gone" names no`)
	require.ErrorContains(t, checkExemptions([]Exemption{{Promise: "Group"}}, cases), `"Group" names no`)
	require.ErrorContains(t, checkExemptions([]Exemption{{Promise: "Group/Kept"}}, cases), "gives no reason")
}

// TestPromiseNamesAreUnique checks the names, by which exemptions and -run select.
func TestPromiseNamesAreUnique(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range switchPromises() {
		require.Regexp(t, `^[A-Za-z]+/[A-Za-z0-9]+$`, p.name)
		require.False(t, seen[p.name], p.name)
		require.NotNil(t, p.test)
		seen[p.name] = true
	}
}
