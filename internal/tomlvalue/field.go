package tomlvalue

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
)

// FieldError is the error of a configuration's value that cannot be used.
type FieldError struct {
	Key    string // section and name, as "[p2p].laddr"
	Value  any    // of a list the entry at fault
	Reason string
}

// Error names the key, its value and what is wrong with it.
func (e *FieldError) Error() string {
	if s, ok := e.Value.(string); ok {
		return fmt.Sprintf("%s = %q: %s", e.Key, s, e.Reason)
	}

	return fmt.Sprintf("%s = %v: %s", e.Key, e.Value, e.Reason)
}

// FullName returns the name of a section's key in errors and warnings.
func FullName(section, key string) string { return "[" + section + "]." + key }

// Wrong returns a *FieldError.
func Wrong(key string, value any, reason string) error { return &FieldError{key, value, reason} }

// Fields returns pointers to the fields of the struct that the pointer names, by the names
// in their toml tags, without options.
func Fields(structure any) map[string]any {
	v := reflect.ValueOf(structure).Elem()
	fields := make(map[string]any, v.NumField())
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("toml"), ",")
		fields[name] = v.Field(i).Addr().Interface()
	}

	return fields
}

// Assign stores a decoded TOML value in the field that the pointer names: a string, bool,
// int, int64, uint64, time.Duration, or a map for a sub-section. A *FieldError with the key
// says what the value must be.
func Assign(key string, field, value any) error {
	if err := assignAny(field, value); err != nil {
		return Wrong(key, value, err.Error())
	}

	return nil
}

func assignAny(field, value any) error {
	switch f := field.(type) {
	case *string:
		return assign(f, value, "a string")
	case *bool:
		return assign(f, value, "true or false")
	case *time.Duration:
		return assignDuration(f, value)
	case *int64:
		return assign(f, value, "a whole number")
	case *int:
		n, ok := value.(int64)
		if !ok || n < math.MinInt || n > math.MaxInt {
			return errors.New("it must be a whole number")
		}
		*f = int(n)
	case *uint64:
		n, ok := value.(int64)
		if !ok || n < 0 {
			return errors.New("it must be a whole number and not negative")
		}
		*f = uint64(n)
	case *map[string]any:
		return assign(f, value, "a section")
	default:
		return fmt.Errorf("values of the type %T are not supported", f)
	}

	return nil
}

func assign[T any](field *T, value any, form string) error {
	v, ok := value.(T)
	if !ok {
		return fmt.Errorf("it must be %s", form)
	}
	*field = v

	return nil
}

func assignDuration(field *time.Duration, value any) error {
	s, ok := value.(string)
	if !ok {
		return errors.New(`it must be a duration in quotes, as "100ms"`)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return errors.New(`it must be a duration with a unit, as "100ms"`)
	}
	*field = d

	return nil
}

// Literal returns the TOML form of the field that the pointer names. Durations are strings,
// as TM2 writes them.
func Literal(field any) (string, error) {
	switch f := field.(type) {
	case *time.Duration:
		return quote(f.String())
	case *string:
		return quote(*f)
	case *bool, *int64, *int, *uint64:
		return fmt.Sprint(reflect.ValueOf(f).Elem()), nil
	default:
		return "", fmt.Errorf("values of the type %T are not supported", f)
	}
}

// quote returns a basic string of TOML. JSON has the same quotes and escapes, but leaves
// DEL as it is.
func quote(s string) (string, error) {
	text, err := json.Marshal(s)

	return strings.ReplaceAll(string(text), "\x7f", `\u007f`), err
}
