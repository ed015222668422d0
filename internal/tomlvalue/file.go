package tomlvalue

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pelletier/go-toml/v2"
)

// maxFileSize bounds config.toml, in bytes; real ones have about 20 KiB.
const maxFileSize = 1 << 20

// ReadFile returns the content of a file of up to 1 MiB. Errors name it.
func ReadFile(path string) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("unable to read the configuration: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()

	data, err = io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("unable to read the configuration: %w", err)
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("unable to read the configuration: %s is longer than %d bytes", path, maxFileSize)
	}

	return data, nil
}

// Decode returns the keys and sections of a TOML document. A syntax error names
// line and column.
func Decode(data []byte) (map[string]any, error) {
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, column := bad.Position()

			return nil, fmt.Errorf("line %d, column %d: %w", row, column, err)
		}

		return nil, err
	}

	return doc, nil
}
