package tomlvalue

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Locate puts the line and the column of the key of a *FieldError before an error about a
// document. It returns other errors as they are, and those whose key the document does not
// have.
func Locate(data []byte, err error) error {
	field, ok := errors.AsType[*FieldError](err)
	if !ok {
		return err
	}
	if line, column := position(data, field.Key); line > 0 {
		return fmt.Errorf("line %d, column %d: %w", line, column, err)
	}

	return err
}

// position returns where a document has the key, a full name or that of a section, or 0.
func position(data []byte, key string) (line, column int) {
	want := strings.Trim(strings.ReplaceAll(key, "].", "."), "[]")
	var parser unstable.Parser
	parser.Reset(data)
	section := ""
	for parser.NextExpression() {
		expression := parser.Expression()
		var parts []string
		var at unstable.Position
		for it := expression.Key(); it.Next(); {
			if len(parts) == 0 {
				at = parser.Shape(it.Node().Raw).Start
			}
			parts = append(parts, string(it.Node().Data))
		}
		name := strings.Join(parts, ".")
		if expression.Kind != unstable.KeyValue {
			section = name
		} else if section != "" {
			name = section + "." + name
		}
		if name == want || strings.HasPrefix(name, want+".") {
			return at.Line, at.Column
		}
	}

	return 0, 0
}
