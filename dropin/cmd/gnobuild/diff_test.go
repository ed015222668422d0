package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDiff checks that git makes the new version of the former one and the diff.
func TestDiff(t *testing.T) {
	numbers := strings.Split("one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen", " ")
	former := strings.Join(numbers, "\n") + "\n"
	for name, after := range map[string]string{
		"a line":           strings.Replace(former, "two\n", "2\n", 1),
		"first and last":   "zero\n" + strings.TrimSuffix(former, "sixteen\n"),
		"far apart":        strings.Replace(strings.Replace(former, "one\n", "", 1), "fifteen\n", "fifteen\n15\n", 1),
		"close":            strings.Replace(strings.Replace(former, "five\n", "", 1), "nine\n", "9\nIX\n", 1),
		"one line between": strings.Replace(strings.Replace(former, "five\n", "", 1), "seven\n", "7\n", 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "f")
			require.NoError(t, os.WriteFile(file, []byte(former), 0o600))
			apply := exec.Command("git", "apply", "--unidiff-zero", "-")
			apply.Dir, apply.Stdin = dir, strings.NewReader(unifiedDiff("f", former, after))
			text, err := apply.CombinedOutput()
			require.NoError(t, err, "%s", text)
			got, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, after, string(got))
		})
	}
	require.NotContains(t, unifiedDiff("f", former, former), "@@")
}
