package config

import (
	"reflect"

	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// LoadFile reads the section [p2p] of a config.toml of up to 1 MiB and checks it. Missing
// keys have their defaults, and other sections are ignored. There is a warning, a sentence
// for the operator, for each key of the section that has no effect. Errors name the file
// and wrap a *FieldError if a key is at fault.
func LoadFile(path string) (cfg *P2PConfig, warnings []string, err error) {
	return tomlvalue.Load(path, Parse)
}

// Parse is LoadFile for the content of a file.
func Parse(data []byte) (cfg *P2PConfig, warnings []string, err error) {
	doc, err := tomlvalue.Decode(data)
	if err != nil {
		return nil, nil, err
	}
	cfg = DefaultP2PConfig()
	section, present := doc["p2p"]
	if !present {
		return cfg, nil, nil
	}
	values, ok := section.(map[string]any)
	if !ok {
		return nil, nil, &FieldError{"p2p", section, "it must be a section, [p2p]"}
	}

	fields := cfg.fields()
	for key, value := range tomlvalue.Entries(values) {
		field, known := fields[key]
		if !known {
			warnings = append(warnings, fullName(key)+" has no effect: there is no such key")

			continue
		}
		if err := tomlvalue.Assign(field, value); err != nil {
			return nil, nil, &FieldError{fullName(key), value, err.Error()}
		}
	}
	if err := cfg.ValidateBasic(); err != nil {
		return nil, nil, err
	}
	if cfg.Seeds != "" && !cfg.PeerExchange {
		warnings = append(warnings, fullName("seeds")+" has no effect: seeds are asked for peers only if pex is true")
	}
	if cfg.SeedMode && !cfg.PeerExchange {
		warnings = append(warnings, fullName("seed_mode")+" has no effect: a node tells of others only if pex is true")
	}

	return cfg, warnings, nil
}

// fields returns a pointer to each field by its key.
func (c *P2PConfig) fields() map[string]any {
	v := reflect.ValueOf(c).Elem()
	fields := make(map[string]any, v.NumField())
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("toml")] = v.Field(i).Addr().Interface()
	}

	return fields
}
