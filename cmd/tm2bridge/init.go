package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
)

func newInit() *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use:   "init --home DIR",
		Short: "Write config.toml and a new node_key.json into a home directory",
		Long: `Write config.toml with comments and a new node_key.json into a home directory,
which is created if it does not exist. Existing files are never overwritten.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if home == "" {
				return &usageError{cmd, errors.New("--home is missing")}
			}
			key, err := config.Init(home, config.Default())
			if err != nil {
				return fmt.Errorf("init: %w", err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "config    %s\nnode key  %s\nTM2 ID    %s\n",
				config.Path(home), config.NodeKeyPath(home), key.ID())

			return err
		},
	}
	cmd.Flags().StringVar(&home, "home", "", "home directory")

	return cmd
}
