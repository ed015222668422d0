package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/check"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func newCheck() *cobra.Command {
	var timeout time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [--home DIR]",
		Short: "Try everything that the bridge needs before its start",
		Long: `Read the configuration of a home and try everything before the start: files, key,
ports, clock, host names, and each configured node: which stack answers, who it is, its
network and version, and the round trip. One line each; the cure stands below each
fault. The exit status is 1 if there is a fault.`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return cli.Usagef(cmd, "--timeout %s: it must be positive", timeout)
			}
			home, err := homeOf(cmd)
			if err != nil {
				return err
			}
			overrides, err := overridesOf(cmd)
			if err != nil {
				return err
			}
			opts := check.Options{Home: home, Overrides: overrides, Timeout: timeout, IsRunning: func(id types.ID) bool {
				return isRunning(cmd, id)
			}}
			var failed error
			faults := check.Run(cmd.Context(), opts, func(l check.Line) {
				text, err := checkLine(l, asJSON)
				if err == nil {
					_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
				}
				if err != nil && failed == nil {
					failed = err
				}
			})
			if failed != nil {
				return fmt.Errorf("check: %w", failed)
			}
			if faults == 1 {
				return fmt.Errorf("check: there is 1 fault")
			}
			if faults > 0 {
				return fmt.Errorf("check: there are %d faults", faults)
			}

			return nil
		},
	}
	addHome(cmd)
	addKeys(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", check.DefaultTimeout, "limit on what is tried at one node")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each line as a JSON object")

	return cmd
}

// isRunning reports whether the bridge of the home answers with its ID.
func isRunning(cmd *cobra.Command, id types.ID) bool {
	home, err := homeOf(cmd)
	if err != nil {
		return false
	}
	overrides, err := overridesOf(cmd)
	if err != nil {
		return false
	}
	cfg, _, err := loadConfig(home, overrides)
	if err != nil {
		return false
	}
	c := client{home: home}
	if c.base, err = baseURL(cfg.HTTP.ListenAddress); err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	report, _, err := c.report(ctx)

	return err == nil && report.ID == id
}

// checkLine writes a line for a terminal, with the cure of a fault below it, or as JSON.
func checkLine(l check.Line, asJSON bool) (string, error) {
	if asJSON {
		data, err := json.Marshal(l)

		return string(data), err
	}
	text := fmt.Sprintf("%-6s %-22s %s", strings.ToUpper(l.Verdict), l.Subject, cli.OneLine(l.Text, 0))
	if l.Cure != "" {
		text += fmt.Sprintf("\n%30s%s", "cure: ", cli.OneLine(l.Cure, 0))
	}

	return text, nil
}
