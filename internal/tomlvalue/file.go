package tomlvalue

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

// maxFileSize bounds config.toml, in bytes; real ones have about 20 KiB.
const maxFileSize = 1 << 20

// Load reads and parses a configuration file of up to 1 MiB. Errors name the file, the
// warnings are those of parse.
func Load[C any](path string, parse func([]byte) (*C, []string, error)) (cfg *C, warnings []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("unable to read the configuration: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()

	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, nil, fmt.Errorf("unable to read the configuration: %w", err)
	}
	if len(data) > maxFileSize {
		return nil, nil, fmt.Errorf("unable to read the configuration: %s is longer than %d bytes", path, maxFileSize)
	}
	if cfg, warnings, err = parse(data); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}

	return cfg, warnings, nil
}

// Entries returns the keys of a document or section and their values, sorted by key.
func Entries[V any](section map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(section)) {
			if !yield(key, section[key]) {
				return
			}
		}
	}
}

// Keys returns the keys of a section of a document, none if the section is absent, or a
// *FieldError if the name belongs to a key.
func Keys(doc map[string]any, section string) (map[string]any, error) {
	content, present := doc[section]
	keys, ok := content.(map[string]any)
	if present && !ok {
		return nil, &FieldError{section, content, "it must be a section, [" + section + "]"}
	}

	return keys, nil
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
