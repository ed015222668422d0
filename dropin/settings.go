package dropin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

const (
	// configDir is where gno has config.toml in a node's home directory.
	configDir = "config"
	// ownFile stands beside config.toml. gno neither reads nor writes it.
	ownFile = "p2p.toml"
	gnoFile = "config.toml"
	// envPrefix and the name of a key in upper case are the name of its variable.
	envPrefix = "TM2_P2P_"
)

// ownKeys are the keys of [p2p] that gno's type does not have, in the order in which the
// node shows them.
var ownKeys = []string{
	"stack", "dial", "quic", "libp2p_security", "tunnel_bridges", "tunnel_peer_ids", "dht", "unconditional_peer_ids",
	"blocked_peers", "blocked_ips", "proxy_protocol_networks", "seed_mode", "dial_timeout",
}

// settings are the values that an operator has given to ownKeys.
type settings struct {
	cfg      config.P2PConfig
	from     map[string]string // the source of each value that is not a default
	warnings []string
}

// readSettings sets ownKeys in a config that is valid. Of several sources the last one
// counts: [p2p] in gno's config.toml, [p2p] in p2p.toml, the environment. It reads no file if
// the config has no home directory. An error names the file or the variable, and the key.
func readSettings(cfg config.P2PConfig) (*settings, error) {
	s := &settings{cfg: cfg, from: make(map[string]string)}
	if home := cfg.RootDir; home != "" {
		if err := s.readFile(filepath.Join(home, configDir), gnoFile, leaveToGno); err != nil {
			return nil, err
		}
		if err := s.readFile(filepath.Join(home, configDir), ownFile, refuse); err != nil {
			return nil, err
		}
	}

	return s, s.readEnvironment()
}

// readFile reads ownKeys from a file, if there is one. Function other judges what else stands
// in it; the section is empty for what stands outside of [p2p].
func (s *settings) readFile(dir, name string, other func(section, key string) (warning string, err error)) error {
	read, warnings, err := tomlvalue.Load(filepath.Join(dir, name), func(data []byte) (*config.P2PConfig, []string, error) {
		cfg := s.cfg
		fields := tomlvalue.Fields(&cfg)
		warnings, err := tomlvalue.Parse(data, tomlvalue.Section{
			Name: "p2p", Other: func(key string, value any) (string, error) {
				if !slices.Contains(ownKeys, key) {
					return other("p2p", key)
				}
				if name == gnoFile && isEmpty(key, value) {
					return "", nil
				}
				s.from[key] = name

				return "", tomlvalue.Assign(tomlvalue.FullName("p2p", key), fields[key], value)
			},
		}, tomlvalue.Section{Other: func(key string, _ any) (string, error) {
			if key == "p2p" {
				return "", nil
			}

			return other("", key)
		}})

		if err == nil {
			err = cfg.ValidateBasic()
		}

		return &cfg, warnings, err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	s.cfg = *read
	for _, w := range warnings {
		s.warnings = append(s.warnings, name+": "+w)
	}

	return nil
}

// isEmpty reports whether a value is the zero of its key's type, as "" and "0s". In gno's
// file it means that the key is not set: `config set` of a gnoland that knows the key
// writes all keys, and that of v1.1.0 the zeros of those that the file did not have.
func isEmpty(key string, value any) bool {
	var none config.P2PConfig
	field := tomlvalue.Fields(&none)[key]

	return tomlvalue.Assign(key, field, value) == nil && reflect.ValueOf(field).Elem().IsZero()
}

// leaveToGno judges what else stands in gno's file.
func leaveToGno(section, key string) (warning string, err error) {
	if section == "" || isGnoKey(key) {
		return "", nil
	}

	return tomlvalue.FullName(section, key) + " has no effect: there is no such key", nil
}

// refuse judges what else stands in our own file.
func refuse(section, key string) (warning string, err error) {
	switch {
	case section == "":
		return "", fmt.Errorf("%s: the keys of this file stand in the section [p2p]", key)
	case isGnoKey(key):
		return "", fmt.Errorf("%s: gno reads this key, from %s only", tomlvalue.FullName(section, key), gnoFile)
	default:
		return "", fmt.Errorf("%s: there is no such key; this file may have %s",
			tomlvalue.FullName(section, key), strings.Join(ownKeys, ", "))
	}
}

func isGnoKey(key string) bool {
	_, ok := tomlvalue.Fields(&gnoconfig.P2PConfig{})[key]

	return ok
}

// readEnvironment reads ownKeys from variables, and warns of others that look like one. They
// are no error, since Kubernetes makes such names of a service named "tm2-p2p".
func (s *settings) readEnvironment() error {
	var others []string
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		suffix, ok := strings.CutPrefix(name, envPrefix)
		if !ok {
			continue
		}
		key := strings.ToLower(suffix)
		if !slices.Contains(ownKeys, key) || suffix != strings.ToUpper(suffix) {
			others = append(others, name)

			continue
		}
		if err := s.setFromText(name, key, value); err != nil {
			return err
		}
	}
	if len(others) > 0 {
		slices.Sort(others)
		s.warnings = append(s.warnings, "environment: "+strings.Join(others, ", ")+" has no effect: there is no such key")
	}

	return nil
}

// setFromText sets a key to the text of a variable. An error names the variable.
func (s *settings) setFromText(name, key, text string) error {
	var value any = text
	field := tomlvalue.Fields(&s.cfg)[key]
	if _, isBool := field.(*bool); isBool && (text == "true" || text == "false") {
		value = text == "true"
	}
	if err := tomlvalue.Assign(name, field, value); err != nil {
		return err
	}
	err := s.cfg.ValidateBasic()
	if bad, ok := errors.AsType[*config.FieldError](err); ok {
		return &config.FieldError{Key: name, Value: bad.Value, Reason: bad.Reason}
	}
	s.from[key] = name

	return err
}

// shown returns stack and dial, and each other key that is not at its default, with its value
// and source, for the log.
func (s *settings) shown() (attrs []any) {
	fields := tomlvalue.Fields(&s.cfg)
	for _, key := range ownKeys {
		from, set := s.from[key]
		if !set {
			from = "default"
		}
		if text, err := tomlvalue.Literal(fields[key]); err == nil && (set || key == "stack" || key == "dial") {
			attrs = append(attrs, key, fmt.Sprintf("%s (%s)", strings.Trim(text, `"`), from))
		}
	}

	return attrs
}
