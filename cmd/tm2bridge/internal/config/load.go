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
	cfg = Default()
	for name, content := range tomlvalue.Entries(doc) {
		switch {
		case name == "p2p" || name == "bridge":
			more, err := cfg.setSection(name, content)
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

func (c *Config) setSection(section string, content any) (warnings []string, err error) {
	values, ok := content.(map[string]any)
	if !ok {
		return nil, wrong(section, content, "it must be a section, ["+section+"]")
	}
	for name, value := range tomlvalue.Entries(values) {
		warning, err := c.setKey(section, name, value)
		if err != nil {
			return nil, err
		}
		if warning != "" {
			warnings = append(warnings, warning)
		}
	}

	return warnings, nil
}

func (c *Config) setKey(section, name string, content any) (warning string, err error) {
	full := "[" + section + "]." + name
	if i := slices.IndexFunc(keys, func(k key) bool { return k.section == section && k.name == name }); i >= 0 {
		return "", assign(full, keys[i].field(c), content)
	}
	i := slices.IndexFunc(idleKeys, func(k idleKey) bool { return section == "p2p" && k.name == name })
	if i < 0 {
		return "", wrong(full, content, "there is no such key")
	}
	idle := idleKeys[i]
	target := reflect.New(reflect.TypeOf(idle.sample))
	if err := assign(full, target.Interface(), content); err != nil {
		return "", err
	}
	if idle.quiet != nil && target.Elem().Interface() == idle.quiet {
		return "", nil
	}

	return fmt.Sprintf("%s has no effect: %s", full, idle.reason), nil
}

// assign stores a TOML value in the variable that field points to.
func assign(full string, field, content any) error {
	if err := tomlvalue.Assign(field, content); err != nil {
		return wrong(full, content, err.Error())
	}

	return nil
}
