package cli

import (
	"io"
	"os"
)

// IsTerminal reports whether out is an ANSI terminal: a character device other than the
// null device, with a TERM that is neither empty nor "dumb".
func IsTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return false
	}
	stat, err := f.Stat()
	if err != nil || stat.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)

	return err != nil || !os.SameFile(stat, null)
}
