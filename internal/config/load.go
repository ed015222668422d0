package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// maxFileSize bounds config.toml, in bytes; real ones have about 20 KiB.
const maxFileSize = 1 << 20

// Load reads and checks the file on top of the defaults. Warnings are sentences
// for the user, one for each key that is accepted without an effect. Errors name
// the file and, where one key is at fault, wrap a *FieldError.
func Load(path string) (cfg *Config, warnings []string, err error) {
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
	if cfg, warnings, err = Parse(data); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}

	return cfg, warnings, nil
}

// Parse is Load for the content of a file.
func Parse(data []byte) (cfg *Config, warnings []string, err error) {
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		if bad := new(toml.DecodeError); errors.As(err, &bad) {
			row, column := bad.Position()
			return nil, nil, fmt.Errorf("line %d, column %d: %w", row, column, err)
		}

		return nil, nil, err
	}

	cfg = Default()
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		switch {
		case name == "p2p" || name == "bridge":
			more, err := cfg.setSection(name, doc[name])
			if err != nil {
				return nil, nil, err
			}
			warnings = append(warnings, more...)
		case !foreignKeys[name]:
			warnings = append(warnings, fmt.Sprintf("%q is ignored: it is neither [p2p] nor [bridge], nor known from TM2 nodes", name))
		}
	}
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}

	return cfg, warnings, nil
}

func (c *Config) setSection(section string, value any) (warnings []string, err error) {
	values, ok := value.(map[string]any)
	if !ok {
		return nil, &FieldError{Key: section, Value: value, Reason: "it must be a section, [" + section + "]"}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		warning, err := c.setKey(section, name, values[name])
		if err != nil {
			return nil, err
		}
		if warning != "" {
			warnings = append(warnings, warning)
		}
	}

	return warnings, nil
}

func (c *Config) setKey(section, name string, value any) (warning string, err error) {
	full := "[" + section + "]." + name
	if i := slices.IndexFunc(keys, func(k key) bool { return k.section == section && k.name == name }); i >= 0 {
		return "", assign(full, keys[i].field(c), value)
	}
	i := slices.IndexFunc(idleKeys, func(k idleKey) bool { return section == "p2p" && k.name == name })
	if i < 0 {
		return "", &FieldError{Key: full, Value: value, Reason: "there is no such key"}
	}
	idle := idleKeys[i]
	target := reflect.New(reflect.TypeOf(idle.sample))
	if err := assign(full, target.Interface(), value); err != nil {
		return "", err
	}
	if idle.quiet != nil && target.Elem().Interface() == idle.quiet {
		return "", nil
	}

	return fmt.Sprintf("%s has no effect: %s", full, idle.reason), nil
}

// assign stores a TOML value in the field that the pointer names.
func assign(full string, field, value any) error {
	wrong := func(reason string) error { return &FieldError{Key: full, Value: value, Reason: reason} }

	switch f := field.(type) {
	case *string:
		s, ok := value.(string)
		if !ok {
			return wrong("it must be a string")
		}
		*f = s
	case *bool:
		b, ok := value.(bool)
		if !ok {
			return wrong("it must be true or false")
		}
		*f = b
	case *time.Duration:
		s, ok := value.(string)
		if !ok {
			return wrong(`it must be a duration in quotes, as "100ms"`)
		}
		d, err := time.ParseDuration(s)
		if err != nil {
			return wrong(`it must be a duration with a unit, as "100ms"`)
		}
		*f = d
	case *int64:
		n, ok := value.(int64)
		if !ok {
			return wrong("it must be a whole number")
		}
		*f = n
	case *int:
		n, ok := value.(int64)
		if !ok || n < math.MinInt || n > math.MaxInt {
			return wrong("it must be a whole number")
		}
		*f = int(n)
	case *table:
		t, ok := value.(map[string]any)
		if !ok {
			return wrong("it must be a section")
		}
		*f = t
	default:
		return wrong(fmt.Sprintf("values of the type %T are not supported", f))
	}

	return nil
}
