// Package atomicfile replaces files so that after a crash a file has either its old
// content or all of the new one. File and folder are synced to the disk.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// tempSuffix names the file that is written before it is renamed. It is the same each
// time, so that crashes leave one file at most, and the next write replaces it.
const tempSuffix = ".tmp"

// Write replaces the file, or makes it, with this content and mode. Until it has
// succeeded the file has its old content. One Write of a file runs at a time.
func Write(path string, content []byte, mode fs.FileMode) error {
	temp, err := createTemp(path, mode)
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

	return syncFolder(path)
}

// Create writes a file that must not exist: otherwise its error wraps fs.ErrExist. After
// any other error there is no file. A crash may leave a part of it.
func Create(path string, content []byte, mode fs.FileMode) error {
	f, err := create(path, mode)
	if err != nil {
		return err
	}
	err = writeSynced(f, content)
	if err == nil {
		err = syncFolder(path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}

	return nil
}

// CheckWritable finds out whether Write will work.
func CheckWritable(path string) error {
	temp, err := createTemp(path, 0o600)
	if err != nil {
		return err
	}

	return errors.Join(temp.Close(), os.Remove(temp.Name()))
}

// createTemp creates the temporary file anew: one that a crash has left may have
// another mode.
func createTemp(path string, mode fs.FileMode) (*os.File, error) {
	name := path + tempSuffix
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}

	return create(name, mode)
}

func create(name string, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

// writeSynced writes the content to the disk and closes the file.
func writeSynced(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Sync()
	}

	return errors.Join(err, f.Close())
}

// syncFolder lets a new name of the file survive a crash. Windows cannot.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}

	return errors.Join(folder.Sync(), folder.Close())
}
