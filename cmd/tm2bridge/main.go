// Command tm2bridge joins TM2 nodes that speak only the native protocol to nodes
// that speak only libp2p, and helps to run and to examine both.
//
//	tm2bridge demo                  a network of both kinds of nodes in one process
//	tm2bridge init                  make a home with config.toml and node_key.json
//	tm2bridge check                 try everything before the start
//	tm2bridge start                 run the bridge
//	tm2bridge status                show what a running bridge does
//	tm2bridge connect SIDE ADDRESS  give a running bridge a target; also block, unblock, forget, log
//	tm2bridge probe ADDRESS         find out who answers at an address
//	tm2bridge id                    show the identity of the bridge, or of a node behind it
//	tm2bridge version               show the version
//
// Results go to the standard output and logs to the standard error. The exit
// status is 0 on success; docs/operate.md has the others.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run executes the command line until it is done or a signal ends it. A second
// signal ends the process at once.
func run(args []string, stdout, stderr io.Writer) (status int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	return execute(ctx, args, stdout, stderr)
}

// execute is run without signal handling. The context ends the command.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)

	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "tm2bridge: %s\n", printable(err.Error()))
	if usage, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(stderr, "\nUsage:\n  %s\n\nRun %q for its flags.\n", usage.cmd.UseLine(), usage.cmd.CommandPath()+" --help")
	}

	return statusOf(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "tm2bridge",
		Short:         "Bridge between TM2 nodes of the native protocol and of libp2p",
		Version:       versionLine(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{cmd, fmt.Errorf("there is no command %q%s", args[0], suggestions(cmd, args[0]))}
			}

			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("tm2bridge {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd, err} })
	root.AddCommand(newDemo(), newInit(), newCheck(), newStart(), newStatus(), newConnect(), newForget(), newBlock(), newUnblock(),
		newLogLevel(), newProbe(), newID(), newVersion())

	return root
}

// suggestions names the commands that are like a mistyped one.
func suggestions(root *cobra.Command, mistyped string) string {
	root.SuggestionsMinimumDistance = 2
	names := root.SuggestionsFor(mistyped)
	if len(names) == 0 {
		return ""
	}

	return "; did you mean " + strings.Join(names, " or ") + "?"
}
