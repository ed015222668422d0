package config

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/atomicfile"
)

// Names of the files in a home directory.
const (
	FileName         = "config.toml"
	NodeKeyFileName  = "node_key.json"
	TokenFileName    = "http_token"
	AddrBookFileName = "addrbook.json"
)

// tokenBytes is how many random bytes a token has; the file has them in hexadecimal digits.
const tokenBytes = 24

// ErrBadToken is wrapped by errors about a token file that cannot be used.
var ErrBadToken = errors.New("the token file cannot be used")

// Path returns the path of config.toml in the home directory.
func Path(home string) string { return filepath.Join(home, FileName) }

// NodeKeyPath returns the path of node_key.json in the home directory.
func NodeKeyPath(home string) string { return filepath.Join(home, NodeKeyFileName) }

// TokenPath returns the path of http_token in the home directory.
func TokenPath(home string) string { return filepath.Join(home, TokenFileName) }

// AddrBookPath returns the path of addrbook.json in the home directory.
func AddrBookPath(home string) string { return filepath.Join(home, AddrBookFileName) }

// DefaultHome returns the home directory of a bridge for which none was named: that in
// TM2BRIDGE_HOME, or else .tm2bridge in the user's home directory.
func DefaultHome() (string, error) {
	if home := os.Getenv(EnvironmentHome); home != "" {
		return home, nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("there is no home directory, so give --home: %w", err)
	}

	return filepath.Join(user, ".tm2bridge"), nil
}

// Init makes the home directory, and in it config.toml, node_key.json and http_token, as far
// as they are missing. What exists is kept, and has to be valid. It returns the paths of the
// files that it made.
func Init(home string, cfg *Config) (key *types.NodeKey, made []string, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}
	data, err := cfg.Marshal()
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, nil, fmt.Errorf("unable to make the home directory: %w", err)
	}
	missing := func(path string) bool {
		_, err := os.Lstat(path)

		return errors.Is(err, fs.ErrNotExist)
	}
	if missing(Path(home)) {
		if err := atomicfile.Create(Path(home), data, 0o644); err != nil {
			return nil, made, fmt.Errorf("unable to write: %w", err)
		}
		made = append(made, Path(home))
	} else if _, _, err := Load(Path(home)); err != nil {
		return nil, made, err
	}
	if missing(NodeKeyPath(home)) {
		made = append(made, NodeKeyPath(home))
	}
	if key, err = types.LoadOrMakeNodeKey(NodeKeyPath(home)); err != nil {
		return nil, made, err
	}
	if missing(TokenPath(home)) {
		made = append(made, TokenPath(home))
	}
	_, err = Token(home)

	return key, made, err
}

// Token returns the token of the home directory, and makes it if it is missing. The errors are
// those of ReadToken.
func Token(home string) (string, error) {
	token, err := ReadToken(home)
	if errors.Is(err, fs.ErrNotExist) {
		return makeToken(TokenPath(home))
	}

	return token, err
}

// ReadToken returns the token of the home directory. An error about a file that others may use,
// or that has no token, wraps ErrBadToken, and one about a missing file fs.ErrNotExist.
func ReadToken(home string) (string, error) {
	path := TokenPath(home)
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("unable to read the token: %w", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	stat, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("unable to read the token: %w", err)
	}
	if runtime.GOOS != "windows" && stat.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%w: others may use %s: run chmod 600 %q", ErrBadToken, path, path)
	}
	data, err := io.ReadAll(io.LimitReader(file, 1024))
	if err != nil {
		return "", fmt.Errorf("unable to read the token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if len(token) < tokenBytes {
		return "", fmt.Errorf("%w: %s has less than %d characters: remove it, and the next start makes a new one",
			ErrBadToken, path, tokenBytes)
	}

	return token, nil
}

func makeToken(path string) (string, error) {
	raw := make([]byte, tokenBytes)
	rand.Read(raw) // crypto/rand never fails
	token := hex.EncodeToString(raw)
	if err := atomicfile.Create(path, []byte(token+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("unable to write the token: %w", err)
	}

	return token, nil
}
