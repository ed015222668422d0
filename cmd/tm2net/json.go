package main

import (
	"encoding/json"
	"io"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
)

// printJSON prints a value as one line of JSON. What a terminal would take for a command
// stands in it as an escape of JSON.
func printJSON(out io.Writer, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, cli.Printable(string(data))+"\n")

	return err
}
