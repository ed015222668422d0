package config

import "github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"

// LoadFile reads the section [p2p] of a config.toml of up to 1 MiB and checks it. Missing
// keys have their defaults, and other sections are ignored. There is a warning, a sentence
// for the operator, for each key of the section that has no effect. Errors name the file
// and wrap a *FieldError if a key is at fault.
func LoadFile(path string) (cfg *P2PConfig, warnings []string, err error) {
	return tomlvalue.Load(path, Parse)
}

// Parse is LoadFile for the content of a file.
func Parse(data []byte) (cfg *P2PConfig, warnings []string, err error) {
	cfg = DefaultP2PConfig()
	warnings, err = tomlvalue.Parse(data, tomlvalue.Section{
		Name: "p2p", Fields: tomlvalue.Fields(cfg),
		Other: func(key string, _ any) (string, error) {
			return fullName(key) + " has no effect: there is no such key", nil
		},
	})
	if err != nil {
		return nil, nil, err
	}
	if err := cfg.ValidateBasic(); err != nil {
		return nil, nil, err
	}

	return cfg, append(warnings, cfg.Warnings()...), nil
}
