package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// Load reads a file, puts the overrides over it, and validates the result. Keys that are
// absent keep their defaults. There is one warning, a sentence for the user, for each key that
// has no effect. An error names the file, and line and column and a *FieldError when a key is
// invalid; or it names the override that is.
func Load(path string, overrides ...Override) (cfg *Config, warnings []string, err error) {
	return tomlvalue.Load(path, func(data []byte) (*Config, []string, error) { return Parse(data, overrides...) })
}

// Parse is Load with the content of a file.
func Parse(data []byte, overrides ...Override) (cfg *Config, warnings []string, err error) {
	cfg = Default()
	parts := []tomlvalue.Section{{Other: judgeForeign}}
	for _, section := range sections {
		other := func(key string, value any) (string, error) { return "", noSuchKey(section, key, value) }
		if section == "p2p" {
			other = judgeIdle
		}
		parts = append(parts, tomlvalue.Section{Name: section, Fields: cfg.fields(section), Other: other})
	}
	if warnings, err = tomlvalue.Parse(data, parts...); err != nil {
		return nil, nil, err
	}
	for _, o := range overrides {
		if err := o.apply(cfg); err != nil {
			return nil, nil, err
		}
	}
	if err := cfg.Validate(); err != nil {
		return nil, nil, blame(err, overrides)
	}

	return cfg, warnings, nil
}

// judgeForeign skips what a TM2 node has beside the sections, and refuses what nobody has.
func judgeForeign(name string, value any) (warning string, err error) {
	if slices.Contains(sections, name) || foreignKeys[name] {
		return "", nil
	}
	if _, isSection := value.(map[string]any); isSection {
		return "", tomlvalue.Wrong(name, "...", "there is no such section"+didYouMean(tomlvalue.Closest(name, sections)))
	}
	for _, section := range sections {
		if slices.Contains(names(section), name) {
			return "", tomlvalue.Wrong(name, value, "it belongs below ["+section+"]")
		}
	}

	return "", tomlvalue.Wrong(name, value, "there is no such key")
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
	reason := "there is no such key"
	for _, other := range sections {
		if other != section && slices.Contains(names(other), name) {
			reason += ", but there is one below [" + other + "]"
		}
	}

	return tomlvalue.Wrong(tomlvalue.FullName(section, name), value, reason+didYouMean(tomlvalue.Closest(name, names(section))))
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}

	return fmt.Sprintf("; did you mean %q?", name)
}
