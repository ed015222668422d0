package addrbook

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const (
	// fileMode is for the owner only, unlike TM2's 0644: with whom a node talks,
	// and when, is nobody else's business. TM2 reads it under the same user.
	fileMode = 0o600

	// maxAside is how many corrupt files are kept.
	maxAside = 10
)

// asideName returns the name, or the name with the first number that is free, or
// with the last number.
func asideName(name string) (string, error) {
	candidate := name
	for i := 1; ; i++ {
		_, err := os.Lstat(candidate)
		if errors.Is(err, fs.ErrNotExist) || err == nil && i == maxAside {
			return candidate, nil
		}
		if err != nil {
			return "", err
		}
		candidate = fmt.Sprintf("%s.%d", name, i)
	}
}
