package config

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

var sectionComments = map[string]string{
	"p2p": "The side of the native peers: TM2 nodes without libp2p.\n" +
		"The keys are those of a TM2 node. You can copy a node's [p2p] section here: the bridge\n" +
		"warns at its start about keys that have no effect.",
	"bridge": "The side of the libp2p peers.",
	"http":   "What people and programs that watch the bridge see.",
	"log":    "What the bridge writes.",
}

// Marshal returns the configuration as config.toml with comments. It writes exactly the
// keys that have an effect. Parse reads the result back.
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
		text, err := tomlvalue.Literal(k.field(c))
		if err != nil {
			return nil, fmt.Errorf("unable to write %s: %w", k, err)
		}
		buf.WriteByte('\n')
		writeComment(&buf, k.comment)
		fmt.Fprintf(&buf, "%s = %s\n", k.name, text)
	}

	return buf.Bytes(), nil
}

func writeComment(buf *bytes.Buffer, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(buf, "# %s\n", line)
	}
}
