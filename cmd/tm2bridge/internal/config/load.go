package config

import (
	"fmt"
	"reflect"
	"slices"

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
	doc, err := tomlvalue.Decode(data)
	if err != nil {
		return nil, nil, err
	}
	for name := range tomlvalue.Entries(doc) {
		if _, ours := sectionComments[name]; !ours && !foreignKeys[name] {
			warnings = append(warnings, fmt.Sprintf("%q is ignored: it is neither [p2p] nor [bridge], nor known from TM2 nodes", name))
		}
	}
	cfg = Default()
	for section := range tomlvalue.Entries(sectionComments) {
		values, err := tomlvalue.Keys(doc, section)
		if err != nil {
			return nil, nil, err
		}
		for name, value := range tomlvalue.Entries(values) {
			warning, err := cfg.setKey(key{section: section, name: name}, value)
			if err != nil {
				return nil, nil, err
			}
			if warning != "" {
				warnings = append(warnings, warning)
			}
		}
	}
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}

	return cfg, warnings, nil
}

func (c *Config) setKey(k key, value any) (warning string, err error) {
	if slices.ContainsFunc(keys, func(known key) bool { return known.section == k.section && known.name == k.name }) {
		return "", tomlvalue.Assign(k.String(), k.field(c), value)
	}
	i := slices.IndexFunc(idleKeys, func(idle idleKey) bool { return k.section == "p2p" && idle.name == k.name })
	if i < 0 {
		return "", tomlvalue.Wrong(k.String(), value, "there is no such key")
	}
	idle := idleKeys[i]
	target := reflect.New(reflect.TypeOf(idle.sample))
	if err := tomlvalue.Assign(k.String(), target.Interface(), value); err != nil {
		return "", err
	}
	if idle.quiet != nil && target.Elem().Interface() == idle.quiet {
		return "", nil
	}

	return fmt.Sprintf("%s has no effect: %s", k, idle.reason), nil
}
