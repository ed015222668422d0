package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// newControl returns a command that changes a running bridge.
func newControl(use, short, action string, args []string, request func(args []string) bridgehttp.Request) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long: short + `. The command asks the running bridge over its HTTP port, with the
token in the home directory. The change lasts until the next reload or start, at the longest.`,
		Args: cli.ExactArgs(args...),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			text, err := c.control(cmd.Context(), action, request(args))
			if err != nil {
				return fmt.Errorf("%s: %w", action, err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), cli.Printable(text))

			return err
		},
	}
	addClient(cmd)

	return cmd
}

func newConnect() *cobra.Command {
	cmd := newControl("connect SIDE ADDRESS", "Make a node a target of a running bridge", "connect", []string{"SIDE", "ADDRESS"},
		func(args []string) bridgehttp.Request { return bridgehttp.Request{Side: args[0], Address: args[1]} })
	cmd.ValidArgs = []string{bridge.InitiatorNative, bridge.InitiatorLibp2p}
	cmd.Example = "  tm2bridge connect libp2p g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m@node.example:26656"

	return cmd
}

func newForget() *cobra.Command {
	return newControl("forget ID", "Take a node out of the targets of a running bridge until it dials or is named again", "forget", []string{"ID"}, byID)
}

func newBlock() *cobra.Command {
	return newControl("block ID", "Refuse a node at a running bridge, and end its pairs", "block", []string{"ID"}, byID)
}

func newUnblock() *cobra.Command {
	return newControl("unblock ID", "Let a blocked node in again", "unblock", []string{"ID"}, byID)
}

func newLogLevel() *cobra.Command {
	cmd := newControl("log LEVEL", "Change the log level of a running bridge", "log", []string{"LEVEL"},
		func(args []string) bridgehttp.Request { return bridgehttp.Request{Level: args[0]} })
	cmd.ValidArgs = []string{"debug", "info", "warn", "error"}

	return cmd
}

func byID(args []string) bridgehttp.Request { return bridgehttp.Request{ID: types.ID(args[0])} }
