package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/history"
)

func newReport() *cobra.Command {
	var network, svg string
	var rows int
	cmd := &cobra.Command{
		Use:   "report FILE [--svg FILE]",
		Short: "Show how a network moved, from the summaries of crawls",
		Long: `Show how the nodes of a network moved from the native stack to libp2p, from a file to
which "tm2net crawl --out" has appended: as a table, and with --svg as a drawing.`,
		Example: `  tm2net report history.jsonl
  tm2net report history.jsonl --svg history.svg`,
		Args: cli.ExactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if rows < 2 {
				return cli.Usagef(cmd, "--rows %d: it must be at least 2", rows)
			}
			list, warnings, err := history.Read(args[0])
			for _, warning := range warnings {
				cmd.PrintErrf("warning: %s\n", cli.Printable(warning))
			}
			if err != nil {
				return fmt.Errorf("report: %w", err)
			}
			list, others := history.Network(list, network)
			if len(list) == 0 {
				return fmt.Errorf("report: %s has no summary of network %q", args[0], network)
			}
			if others > 0 {
				cmd.PrintErrf("note: %d summaries are of other networks than %s, see --network\n", others, cli.OneLine(list[0].Network, 0))
			}
			if svg != "" {
				if err := writeFile(svg, func(f *os.File) error { return history.WriteSVG(f, list) }); err != nil {
					return fmt.Errorf("report: %w", err)
				}
			}
			if err := history.WriteTable(cmd.OutOrStdout(), history.Thin(list, rows)); err != nil {
				return fmt.Errorf("report: %w", err)
			}

			return nil
		},
	}
	cmd.Flags().StringVar(&network, "network", "", "chain ID of the network (default: that of the last summary)")
	cmd.Flags().StringVar(&svg, "svg", "", "file for a drawing")
	cmd.Flags().IntVar(&rows, "rows", 40, "rows of the table, chosen evenly if there are more summaries")

	return cmd
}

// writeFile makes a file anew.
func writeFile(path string, write func(*os.File) error) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()

	return write(f)
}
