package edit

import (
	"fmt"
	"go/ast"
	"reflect"
	"strconv"
	"strings"
)

// ConfigFile is the file that Config changes, relative to the module of gno.
const ConfigFile = "tm2/pkg/p2p/config/config.go"

// addrBookKey names a file of gno's discovery reactor, so a gno without the key has no use
// for it.
const addrBookKey = "addr_book_file"

// newerKey is a key of every gno that reads its file over the defaults. Gno v1.1.0 lacks the key, and
// reads its file over zeros.
const newerKey = "recv_assembly_timeout"

// Config adds the keys of ours to the section [p2p] of a gno that does not have them, with
// the values of ours as defaults, so that `gnoland config` gets and sets them. A gno that reads
// its file over zeros writes no key of ours that is zero: a newer gno would take the zero for
// what the operator wants. The source is that of ConfigFile; ours is a struct whose fields have
// the tags toml, json and comment.
func Config(s *Source, ours any) error {
	section, err := s.structure("P2PConfig")
	if err != nil {
		return err
	}
	types, err := s.keys(section)
	if err != nil {
		return err
	}
	var fields, defaults strings.Builder
	values := reflect.ValueOf(ours)
	for i := range values.NumField() {
		field, value := values.Type().Field(i), values.Field(i)
		key := field.Tag.Get("toml")
		if has, ok := types[key]; ok {
			if s.code(has) != field.Type.String() {
				return s.mismatch(has.Pos(), "that the key %s is a %s", key, field.Type)
			}

			continue
		}
		if key == addrBookKey {
			continue
		}
		tag := field.Tag
		if _, isNewer := types[newerKey]; !isNewer {
			tag = omitEmpty(tag, key)
		}
		fmt.Fprintf(&fields, "\n%s %s %s\n", field.Name, field.Type, quoteTag(tag))
		if !value.IsZero() {
			fmt.Fprintf(&defaults, "%s: %s,\n", field.Name, literal(value))
		}
	}
	made, err := s.defaultLiteral()
	if err != nil {
		return err
	}
	s.insert(section.Fields.Closing, fields.String())
	s.insert(made.Rbrace, defaults.String())

	return nil
}

// keys returns the types of a struct's fields by their keys.
func (s *Source) keys(section *ast.StructType) (map[string]ast.Expr, error) {
	types := make(map[string]ast.Expr)
	for _, field := range section.Fields.List {
		if field.Tag == nil {
			return nil, s.mismatch(field.Pos(), "a tag at each field of P2PConfig")
		}
		tag, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			return nil, s.mismatch(field.Tag.Pos(), "a tag that can be read")
		}
		key, _, _ := strings.Cut(reflect.StructTag(tag).Get("toml"), ",")
		types[key] = field.Type
	}

	return types, nil
}

// defaultLiteral returns the struct that DefaultP2PConfig makes.
func (s *Source) defaultLiteral() (*ast.CompositeLit, error) {
	f, err := s.function("", "DefaultP2PConfig")
	if err != nil {
		return nil, err
	}
	var made *ast.CompositeLit
	ast.Inspect(f, func(n ast.Node) bool {
		if c, ok := n.(*ast.CompositeLit); ok && c.Type != nil && s.code(c.Type) == "P2PConfig" {
			made = c
		}

		return made == nil
	})
	if made == nil {
		return nil, s.mismatch(f.Pos(), "a literal of P2PConfig in DefaultP2PConfig")
	}

	return made, nil
}

// omitEmpty returns the tag of a key that is not written when it is zero.
func omitEmpty(tag reflect.StructTag, key string) reflect.StructTag {
	return reflect.StructTag(strings.Replace(string(tag), `toml:"`+key+`"`, `toml:"`+key+`,omitempty"`, 1))
}

// quoteTag returns a tag as it stands in source.
func quoteTag(tag reflect.StructTag) string {
	if strconv.CanBackquote(string(tag)) {
		return "`" + string(tag) + "`"
	}

	return strconv.Quote(string(tag))
}

// literal returns the Go text of a string, a number or a bool of any type.
func literal(v reflect.Value) string {
	if v.Kind() == reflect.String {
		return strconv.Quote(v.String())
	}
	if v.CanInt() { // a duration prints with its unit
		return strconv.FormatInt(v.Int(), 10)
	}

	return fmt.Sprint(v.Interface())
}
