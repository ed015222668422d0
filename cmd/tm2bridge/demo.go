package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/demo"
)

func newDemo() *cobra.Command {
	var opts demo.Options
	var asJSON, kill bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run native and libp2p nodes with a bridge between them and count every message",
		Long: `Run a network in one process, over real loopback sockets: native nodes, as many
libp2p nodes, and one bridge between the groups. The nodes gossip as fast as they
can, and every message is accounted for: on each link by number, and from end to
end. The exit status is 1 if anything was lost, duplicated or reordered, or if
nothing crossed the bridge. An interrupt ends the run early.

On a terminal a table is redrawn in place, otherwise each second is one line.

With --kill a libp2p node and then the bridge are taken away instead, and the time is
told until every native node is joined again.`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := newLogger(cmd)
			if err != nil {
				return err
			}
			if err := opts.Validate(); err != nil {
				return cli.UsageError(cmd, err)
			}
			if kill {
				for _, other := range []string{"json", "duration", "seed", "http"} {
					if cmd.Flags().Changed(other) {
						return cli.Usagef(cmd, "--kill has no use for --%s", other)
					}
				}

				return runKill(cmd, opts.Nodes, logger)
			}
			view := newView(cmd.OutOrStdout(), asJSON)
			opts.Logger, opts.Begin, opts.Progress = logger, view.Begin, view.Progress
			summary, err := demo.Run(cmd.Context(), opts)
			if summary != nil {
				if viewErr := view.Done(summary); viewErr != nil {
					return fmt.Errorf("unable to write the summary: %w", viewErr)
				}
			}
			if err != nil {
				return fmt.Errorf("demo: %w", err)
			}

			return summary.Err()
		},
	}
	cmd.Flags().DurationVar(&opts.Duration, "duration", 10*time.Second, "how long messages are sent")
	cmd.Flags().IntVar(&opts.Nodes, "nodes", 3, fmt.Sprintf("nodes on each side of the bridge, up to %d", demo.MaxNodes))
	cmd.Flags().Uint64Var(&opts.Seed, "seed", 1, "seed of the messages' sizes, channels and contents")
	cmd.Flags().StringVar(&opts.HTTP, "http", "", "IP and port at which the page of the demo's bridge is, as 127.0.0.1:36660")
	cmd.Flags().BoolVar(&kill, "kill", false, "take a node and then the bridge away, and show the recovery")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object a second, and the summary as the last line")
	addLogLevel(cmd, slog.LevelWarn)

	return cmd
}

// runKill shows how a network recovers.
func runKill(cmd *cobra.Command, nodes int, logger *slog.Logger) error {
	begin, failed := time.Now(), error(nil)
	print := func(format string, args ...any) {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), format, args...); err != nil && failed == nil {
			failed = err
		}
	}
	_, err := demo.Kill(cmd.Context(), nodes, logger,
		func(t demo.Topology) { print("%s", t) },
		func(text string) { print("%7.3f s  %s\n", time.Since(begin).Seconds(), text) })
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("demo: %w", err)
	}

	return nil
}

func newView(out io.Writer, asJSON bool) *demo.View {
	switch {
	case asJSON:
		return demo.NewJSONView(out)
	case cli.IsTerminal(out):
		return demo.NewTableView(out)
	default:
		return demo.NewLineView(out)
	}
}
