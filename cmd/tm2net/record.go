package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/transcript"
)

func newRecord() *cobra.Command {
	var listen time.Duration
	var from, out string
	var all bool
	cmd := &cobra.Command{
		Use:   "record ADDRESS | --from FILE",
		Short: "Record a connection to a native node and explain each byte of it",
		Long: `Dial the native node at an address, ID@host:port or host:port, record the connection
with its keys, and explain each byte: the handshake, the frames of the secret connection,
the NodeInfo, packets and messages. For a moment the node sees a peer with a new key, which
asks it for peers if it has that channel, and pings it.

With --out the recording is written to a file, which --from explains again.`,
		Example: `  tm2net record 127.0.0.1:26656
  tm2net record 127.0.0.1:26656 --out session.json
  tm2net record --from session.json --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if from != "" {
				return cli.ExactArgs()(cmd, args)
			}

			return cli.ExactArgs("ADDRESS")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if listen < 0 {
				return cli.Usagef(cmd, "--listen %s: it must not be negative", listen)
			}
			if from != "" && cmd.Flags().Changed("out") {
				return cli.Usagef(cmd, "give either --from or --out")
			}
			t, err := readOrRecord(cmd, args, from, listen)
			if t != nil {
				err = errors.Join(err, t.WriteText(cmd.OutOrStdout(), all))
				if out != "" {
					err = errors.Join(err, keep(t, out))
				}
			}
			if err != nil {
				return fmt.Errorf("record: %w", err)
			}

			return nil
		},
	}
	cmd.Flags().DurationVar(&listen, "listen", 2*time.Second, "how long to record what the node sends after the handshake")
	cmd.Flags().StringVar(&from, "from", "", "explain a recording in this file")
	cmd.Flags().StringVar(&out, "out", "", "file for the recording, which holds its keys")
	cmd.Flags().BoolVar(&all, "all", false, "show all bytes of a span, not only the first 32")

	return cmd
}

// keep writes a recording to a file that only its owner can read: it holds the keys by which
// everything in it is read. A former file there may have been open to others.
func keep(t *transcript.Transcript, path string) error {
	var recording bytes.Buffer
	if err := t.Write(&recording); err != nil {
		return err
	}

	return cli.WriteFile(path, recording.Bytes(), 0o600)
}

func readOrRecord(cmd *cobra.Command, args []string, from string, listen time.Duration) (*transcript.Transcript, error) {
	if from != "" {
		return transcript.Read(from)
	}

	return transcript.Record(cmd.Context(), args[0], listen)
}
