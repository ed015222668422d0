package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// watchInterval is how often --watch asks.
const watchInterval = 2 * time.Second

// errDown is the error of a status whose bridge is down (bridgehttp.StateDown).
var errDown = errors.New("the bridge is down")

func newStatus() *cobra.Command {
	var watch, asJSON bool
	cmd := &cobra.Command{
		Use:   "status [--watch] [--json]",
		Short: "Show what a running bridge does",
		Long: `Show the state of a running bridge: whether it works, who is joined to whom, who gets
no pair and why, and which targets can be used. With --json it prints what /status
answers (docs/status.md). The exit status is 1 if the bridge does not answer or is down.`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			if watch {
				return watchStatus(cmd.Context(), c, cmd.OutOrStdout(), asJSON)
			}
			report, data, err := c.report(cmd.Context())
			if err != nil {
				return fmt.Errorf("status: %w", err)
			}
			if _, err := io.WriteString(cmd.OutOrStdout(), view(report, data, asJSON)); err != nil {
				return err
			}
			if report.Health.State == bridgehttp.StateDown {
				return fmt.Errorf("status: %w", errDown)
			}

			return nil
		},
	}
	addClient(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every 2 seconds, until an interrupt")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")

	return cmd
}

func view(report *bridgehttp.Report, data []byte, asJSON bool) string {
	if asJSON {
		return string(data)
	}

	return statusText(report, time.Now())
}

// watchStatus shows the status over and over, in place on a terminal. A bridge that does not
// answer is shown as that.
func watchStatus(ctx context.Context, c *client, out io.Writer, asJSON bool) error {
	clear := ""
	if cli.IsTerminal(out) && !asJSON {
		clear = "\x1b[H\x1b[2J"
	}
	for {
		report, data, err := c.report(ctx)
		text := ""
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && asJSON:
			return fmt.Errorf("status: %w", err)
		case err != nil:
			text = cli.Printable(err.Error()) + "\n"
		default:
			text = view(report, data, asJSON)
		}
		if clear == "" && !asJSON {
			text += "\n"
		}
		if _, err := io.WriteString(out, clear+text); err != nil {
			return err
		}
		if !task.Sleep(ctx, watchInterval) {
			return nil
		}
	}
}
