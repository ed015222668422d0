package addrbook

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	// tempSuffix names the file that is written before it is renamed. It is the
	// same each time, so that crashes leave one at most, and the next save
	// replaces it.
	tempSuffix = ".tmp"

	// fileMode is for the owner only, unlike TM2's 0644: with whom a node talks,
	// and when, is nobody else's business. TM2 reads it under the same user.
	fileMode = 0o600

	// maxAside is how many corrupt files are kept.
	maxAside = 10
)

// writeFile replaces the file, so that after a crash there is the old content or
// the new one.
func writeFile(path string, content []byte) error {
	temp, err := createTemp(path)
	if err != nil {
		return err
	}
	err = writeSynced(temp, content)
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}

	return syncDir(filepath.Dir(path))
}

// writeSynced writes the content to the disk and closes the file.
func writeSynced(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Sync()
	}

	return errors.Join(err, f.Close())
}

// createTemp creates the temporary file anew: one that a crash has left may have
// another mode.
func createTemp(path string) (*os.File, error) {
	name := path + tempSuffix
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}

	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
}

// syncDir makes a rename survive a crash. Windows cannot.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}

	return errors.Join(d.Sync(), d.Close())
}

// checkWritable finds out whether writeFile will work.
func checkWritable(path string) error {
	temp, err := createTemp(path)
	if err != nil {
		return err
	}

	return errors.Join(temp.Close(), os.Remove(temp.Name()))
}

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
