package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
)

func newProbe() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "probe ADDRESS...",
		Short: "Find out who answers at addresses, and over which stack",
		Long: `Identify the node at each address, ID@host:port or host:port. An ID is checked
against the node's key. The node is authenticated and asked for its NodeInfo, over the
native protocol or over libp2p, whichever it speaks. The probe never becomes its peer.`,
		Args: cli.AtLeastOneArg("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if timeout <= 0 {
				return cli.Usagef(cmd, "--timeout %s: it must be positive", timeout)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			result, err := probe.Probe(ctx, args[0])
			if result != nil {
				err = errors.Join(err, printProbe(cmd.OutOrStdout(), result))
			}
			if err != nil {
				return fmt.Errorf("probe: %w", err)
			}

			return nil
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "limit on the whole probe")

	return cmd
}

// printProbe prints the known fields of a result.
func printProbe(out io.Writer, r *probe.Result) error {
	var b strings.Builder
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-10s %s\n", name, value)
		}
	}
	row("address", r.Address)
	row("stack", strings.Join(r.Stacks, ", "))
	row("dialect", r.Dialect)
	row("TM2 ID", r.ID.String())
	row("peer ID", r.PeerID)
	row("connect", r.ConnectTime.Round(time.Microsecond).String())
	if r.HandshakeTime > 0 {
		row("handshake", r.HandshakeTime.Round(time.Microsecond).String())
	}
	for _, note := range r.Notes {
		row("note", note)
	}
	if r.NodeInfo != nil {
		info, err := json.MarshalIndent(r.NodeInfo, "", "  ")
		if err != nil {
			return fmt.Errorf("unable to show the NodeInfo: %w", err)
		}
		row("node info", string(info))
	}
	_, err := io.WriteString(out, cli.Printable(b.String()))

	return err
}
