package config

import (
	"fmt"
	"reflect"

	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// Load reads and validates a file. Keys that are absent keep their defaults. There is one
// warning, a sentence for the user, for each key that has no effect. An error names the
// file, and wraps a *FieldError when a key is invalid.
func Load(path string) (cfg *Config, warnings []string, err error) {
	return tomlvalue.Load(path, Parse)
}

// Parse is Load with the content of a file.
func Parse(data []byte) (cfg *Config, warnings []string, err error) {
	cfg = Default()
	warnings, err = tomlvalue.Parse(data,
		tomlvalue.Section{Other: judgeForeign},
		tomlvalue.Section{Name: "bridge", Fields: cfg.fields("bridge"), Other: func(key string, value any) (string, error) {
			return "", noSuchKey("bridge", key, value)
		}},
		tomlvalue.Section{Name: "p2p", Fields: cfg.fields("p2p"), Other: judgeIdle})
	if err != nil {
		return nil, nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}

	return cfg, warnings, nil
}

// judgeForeign warns of what neither the bridge nor a TM2 node has beside the sections.
func judgeForeign(name string, _ any) (warning string, err error) {
	if _, ours := sectionComments[name]; ours || foreignKeys[name] {
		return "", nil
	}

	return fmt.Sprintf("%q is ignored: it is neither [p2p] nor [bridge], nor known from TM2 nodes", name), nil
}

// judgeIdle warns of a key of a TM2 node that has no effect on a bridge, and refuses others.
func judgeIdle(name string, value any) (warning string, err error) {
	for _, idle := range idleKeys {
		if idle.name != name {
			continue
		}
		key := tomlvalue.FullName("p2p", name)
		read := reflect.New(reflect.TypeOf(idle.sample))
		if err := tomlvalue.Assign(key, read.Interface(), value); err != nil {
			return "", err
		}
		if idle.quiet != nil && read.Elem().Interface() == idle.quiet {
			return "", nil
		}

		return fmt.Sprintf("%s has no effect: %s", key, idle.reason), nil
	}

	return "", noSuchKey("p2p", name, value)
}

func noSuchKey(section, name string, value any) error {
	return tomlvalue.Wrong(tomlvalue.FullName(section, name), value, "there is no such key")
}
