package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// EnvironmentPrefix begins the names of environment variables that set keys: that of
// [p2p].laddr is TM2BRIDGE_P2P_LADDR.
const EnvironmentPrefix = "TM2BRIDGE_"

// EnvironmentHome is the variable with the default of --home. It sets no key.
const EnvironmentHome = EnvironmentPrefix + "HOME"

// Override is a value that counts in place of that of the file.
type Override struct {
	Key   string // section.name, as p2p.laddr
	Value string
	From  string // the flag or the environment variable, for errors
}

// OverrideError is the error about a value that does not come from the file.
type OverrideError struct {
	From string
	Err  error
}

// Error names the flag or the variable.
func (e *OverrideError) Error() string { return e.From + ": " + e.Err.Error() }

// Key describes a key that can be overridden.
type Key struct {
	Name    string // section.name
	Comment string // a sentence
}

// Keys returns all keys that have an effect, in the order of the file.
func Keys() (list []Key) {
	for _, k := range keys {
		list = append(list, Key{k.section + "." + k.name, strings.ReplaceAll(k.comment, "\n", " ")})
	}

	return list
}

// ofService matches the names, after the prefix, of variables in which Kubernetes tells each
// container about a service whose name begins with "tm2bridge".
var ofService = regexp.MustCompile(`(^|_)(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// isOfService reports whether Kubernetes has made the variable. What only ends in PORT has a URL
// then, and may else be a slip in the name of a key.
func isOfService(name, value string) bool {
	return ofService.MatchString(name) || strings.HasSuffix("_"+name, "_PORT") && strings.Contains(value, "://")
}

// FromEnvironment returns the overrides in the environment, which has the form of
// os.Environ. An *OverrideError names a variable with the prefix that sets no key, unless
// Kubernetes has made it for a service.
func FromEnvironment(environ []string) (overrides []Override, err error) {
	byVariable, variables := make(map[string]string), []string{}
	for _, k := range keys {
		variable := EnvironmentPrefix + strings.ToUpper(k.section+"_"+k.name)
		byVariable[variable], variables = k.section+"."+k.name, append(variables, strings.ToLower(variable))
	}
	for _, entry := range environ {
		variable, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(variable, EnvironmentPrefix) || variable == EnvironmentHome {
			continue
		}
		key, known := byVariable[variable]
		if !known && isOfService(strings.TrimPrefix(variable, EnvironmentPrefix), value) {
			continue
		}
		if !known {
			closest := strings.ToUpper(tomlvalue.Closest(variable, variables))

			return nil, &OverrideError{variable, errors.New("there is no such variable" + didYouMean(closest))}
		}
		overrides = append(overrides, Override{key, value, variable})
	}

	return overrides, nil
}

// apply sets the key.
func (o Override) apply(c *Config) error {
	for _, k := range keys {
		if k.section+"."+k.name != o.Key {
			continue
		}
		field := k.field(c)
		if err := tomlvalue.Assign(k.String(), field, decoded(field, o.Value)); err != nil {
			return &OverrideError{o.From, err}
		}

		return nil
	}

	return &OverrideError{o.From, fmt.Errorf("there is no key %s", o.Key)}
}

// decoded returns the text as the TOML decoder would return a value for the field. A text that
// cannot be read stays a text, which Assign refuses.
func decoded(field any, text string) any {
	switch field.(type) {
	case *bool:
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	case *int, *int64, *uint64:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case *string, *time.Duration:
	}

	return text
}

// blame returns the error of Validate, with the override in place of the position in the file
// if the value comes from one.
func blame(err error, overrides []Override) error {
	field, ok := errors.AsType[*FieldError](err)
	if !ok {
		return err
	}
	for _, o := range overrides {
		section, name, _ := strings.Cut(o.Key, ".")
		if tomlvalue.FullName(section, name) == field.Key {
			return &OverrideError{o.From, err}
		}
	}

	return err
}
