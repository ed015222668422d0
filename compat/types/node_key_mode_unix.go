//go:build unix

package types

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// checkKeyMode refuses a key file of this user that others may read or write, as ssh does.
// Another user's file, such as a secret that a container's runtime mounts, has the mode that
// its owner chose.
func checkKeyMode(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid != uint32(os.Getuid()) || info.Mode().Perm()&0o077 == 0 {
		return nil
	}

	return fmt.Errorf("%w: others may use %s, whose mode is %#o: run chmod 600 %s",
		ErrExposedNodeKey, path, info.Mode().Perm(), strconv.Quote(path))
}
