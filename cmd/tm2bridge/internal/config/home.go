package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/atomicfile"
)

// Names of the files in a home directory.
const (
	FileName        = "config.toml"
	NodeKeyFileName = "node_key.json"
)

// ErrExists is wrapped by Init's error when it would overwrite a file.
var ErrExists = errors.New("file exists already")

// Path returns the path of config.toml in the home directory.
func Path(home string) string { return filepath.Join(home, FileName) }

// NodeKeyPath returns the path of node_key.json in the home directory.
func NodeKeyPath(home string) string { return filepath.Join(home, NodeKeyFileName) }

// Init makes the home directory, if it does not exist, and writes config.toml and a new
// node_key.json into it. When one of the files exists, it writes neither and returns an
// error that wraps ErrExists.
func Init(home string, cfg *Config) (key *types.NodeKey, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	data, err := cfg.Marshal()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("unable to make the home directory: %w", err)
	}
	for _, path := range []string{Path(home), NodeKeyPath(home)} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", path, cmp.Or(err, ErrExists))
		}
	}

	if err := atomicfile.Create(Path(home), data, 0o644); err != nil {
		return nil, fmt.Errorf("unable to write: %w", err)
	}
	key, err = types.LoadOrMakeNodeKey(NodeKeyPath(home))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unable to write %s: %w", NodeKeyPath(home), err), os.Remove(Path(home)))
	}

	return key, nil
}
