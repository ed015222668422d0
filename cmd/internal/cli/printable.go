package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Printable returns a text for a terminal. What a remote has sent may be part of it: each
// rune that cannot be seen, except a line break, stands as an escape of JSON. Some terminals
// take such runes for commands, others for the direction of what follows.
func Printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}

	return b.String()
}

// OneLine makes a text that a remote may have chosen fit for a line of a terminal, and not
// longer than limit runes. 0 means no limit.
func OneLine(text string, limit int) string {
	runes := []rune(Printable(strings.ReplaceAll(text, "\n", " ")))
	if limit > 0 && len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}

	return string(runes)
}
