package config

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

var sectionComments = map[string]string{
	"p2p": "The side of the legacy peers: TM2 nodes as they are.\n" +
		"The keys and their values are those of a TM2 node; a node's own [p2p] section can\n" +
		"stand here, and keys of it that do nothing in a bridge are reported at the start.",
	"bridge": "The side of the libp2p peers.",
}

// Marshal returns the configuration as config.toml with comments. It has exactly
// the keys that have an effect, and Parse reads it back.
func (c *Config) Marshal() ([]byte, error) {
	var buf bytes.Buffer
	section := ""
	for _, k := range keys {
		if k.section != section {
			if section != "" {
				buf.WriteByte('\n')
			}
			section = k.section
			writeComment(&buf, sectionComments[section])
			fmt.Fprintf(&buf, "[%s]\n", section)
		}
		value, err := literal(k.field(c))
		if err != nil {
			return nil, fmt.Errorf("unable to write %s: %w", k, err)
		}
		buf.WriteByte('\n')
		writeComment(&buf, k.comment)
		fmt.Fprintf(&buf, "%s = %s\n", k.name, value)
	}

	return buf.Bytes(), nil
}

func writeComment(buf *bytes.Buffer, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(buf, "# %s\n", line)
	}
}

// literal returns the TOML form of the field that the pointer names. Durations
// are strings, as TM2 writes them.
func literal(field any) (string, error) {
	var value any
	switch f := field.(type) {
	case *time.Duration:
		return quoted(f.String())
	case *string:
		return quoted(*f)
	case *bool:
		value = *f
	case *int64:
		value = *f
	case *int:
		value = int64(*f)
	default:
		return "", fmt.Errorf("values of the type %T are not supported", f)
	}

	return fmt.Sprint(value), nil
}

// quoted prefers the double quotes that TM2 writes to the choice of the encoder.
func quoted(s string) (string, error) {
	special := func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
	if !strings.ContainsFunc(s, special) {
		return `"` + s + `"`, nil
	}
	text, err := toml.Marshal(map[string]any{"v": s})
	if err != nil {
		return "", err
	}

	return strings.TrimSpace(strings.TrimPrefix(string(text), "v = ")), nil
}
