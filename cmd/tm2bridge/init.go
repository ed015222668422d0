package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
)

func newInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init [--home DIR]",
		Short: "Make a home: config.toml with comments, a node key, and the token of the HTTP port",
		Long: `Make a home directory for a bridge: config.toml with comments, node_key.json, which is
a private key, and http_token. Only what is missing is made, and nothing is changed.`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			home, err := homeOf(cmd)
			if err != nil {
				return err
			}
			key, made, err := config.Init(home, config.Default())
			if err != nil {
				return cli.WithStatus(exitConfig, fmt.Errorf("init: %w", err))
			}
			out := cmd.OutOrStdout()
			for _, file := range []struct{ name, path string }{
				{"config", config.Path(home)}, {"node key", config.NodeKeyPath(home)}, {"token", config.TokenPath(home)},
			} {
				state := "kept"
				if slices.Contains(made, file.path) {
					state = "made"
				}
				if _, err := fmt.Fprintf(out, "%-9s %s %s\n", file.name, state, file.path); err != nil {
					return err
				}
			}
			if tree := workingTree(home); tree != "" {
				cmd.PrintErrf("warning: %s is in the working tree %s: do not commit the private key\n", home, tree)
			}
			_, err = fmt.Fprintf(out, "TM2 ID    %s\n\nName the nodes to join in the config, then run: tm2bridge check\n", key.ID())

			return err
		},
	}
	addHome(cmd)

	return cmd
}
