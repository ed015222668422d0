package tomlvalue

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

// maxFileSize bounds config.toml, in bytes; real ones have about 20 KiB.
const maxFileSize = 1 << 20

// Load reads and parses a configuration file of up to 1 MiB. Errors name the file, and
// the line and column of a key at fault; the warnings are those of parse.
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
		return nil, nil, fmt.Errorf("%s: %w", path, Locate(data, err))
	}

	return cfg, warnings, nil
}

// Section is a section of a file: which keys it knows, and what becomes of the others.
type Section struct {
	Name   string         // empty: the document, whose keys include its sections
	Fields map[string]any // pointers by key, as Fields returns them

	// Other judges a key that Fields does not have: a warning for the operator, which may be
	// empty, or an error.
	Other func(key string, value any) (warning string, err error)
}

// Parse stores the values of a document in the fields of the sections. Keys that the
// document does not have leave their fields as they are. It returns the warnings in the
// order of the sections and their keys. A syntax error names line and column; a *FieldError
// names a key whose value has the wrong type, or that stands where a section should.
func Parse(data []byte, sections ...Section) (warnings []string, err error) {
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
			row, column := bad.Position()

			return nil, fmt.Errorf("line %d, column %d: %w", row, column, err)
		}

		return nil, err
	}
	for _, s := range sections {
		keys := doc
		if content, present := doc[s.Name]; s.Name != "" {
			var ok bool
			if keys, ok = content.(map[string]any); present && !ok {
				return nil, Wrong(s.Name, content, "it must be a section, ["+s.Name+"]")
			}
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			warning, err := s.set(key, keys[key])
			if err != nil {
				return nil, err
			}
			if warning != "" {
				warnings = append(warnings, warning)
			}
		}
	}

	return warnings, nil
}

func (s Section) set(key string, value any) (warning string, err error) {
	if field, known := s.Fields[key]; known {
		return "", Assign(FullName(s.Name, key), field, value)
	}

	return s.Other(key, value)
}
