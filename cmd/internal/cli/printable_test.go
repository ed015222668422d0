package cli

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"two\nlines, ünïcödé": "two\nlines, ünïcödé",
		"\x1b[2J\a\r\t":       `\u001b[2J\u0007\u000d\u0009`,
		"\u009b31m\u007f":     `\u009b31m\u007f`,
		"\u202egnp.exe":       `\u202egnp.exe`,
		"\U000e0041":          `\udb40\udc41`,
		"\xff\xfe":            "��",
	} {
		require.Equal(t, want, Printable(text))
	}
}

func TestOneLine(t *testing.T) {
	require.Equal(t, "ab…", OneLine("abcd", 3))
	require.Equal(t, "abc", OneLine("abc", 3))
	require.Equal(t, `a b\u001b`, OneLine("a\nb\x1b", 0))
}
