package cli

import (
	"io/fs"
	"os"

	"github.com/tm2-libp2p/tm2-libp2p/internal/atomicfile"
)

// WriteFile replaces a file, or makes it, so that it has its old content until it has all of the new one.
// What is no regular file, such as a pipe, is written to as it is.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	if to, err := os.Stat(path); err == nil && !to.Mode().IsRegular() {
		return os.WriteFile(path, content, mode)
	}

	return atomicfile.Write(path, content, mode)
}
