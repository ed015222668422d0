// Command tm2bridge joins TM2 nodes that speak only the native protocol to nodes
// that speak only libp2p, and helps to run and to examine both.
//
//	tm2bridge demo                  a network of both kinds of nodes in one process
//	tm2bridge init --home DIR       write config.toml and node_key.json
//	tm2bridge start --home DIR      run the bridge
//	tm2bridge probe ADDRESS         find out who answers at an address
//	tm2bridge id --home DIR         show the identity of a node key
//	tm2bridge version               show the version
//
// Results go to the standard output and logs to the standard error. The exit
// status is 0 on success and 1 on any error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
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
		return 0
	}
	fmt.Fprintf(stderr, "tm2bridge: %s\n", printable(err.Error()))
	if usage, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(stderr, "\n%s", usage.cmd.UsageString())
	}

	return 1
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "tm2bridge",
		Short:         "Bridge between TM2 nodes of the native protocol and of libp2p",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{cmd, fmt.Errorf("there is no command %q", args[0])}
			}

			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd, err} })
	root.AddCommand(newDemo(), newInit(), newStart(), newProbe(), newID(), newVersion())

	return root
}

// usageError is a mistake on the command line. execute shows the usage of cmd with it.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// exactArgs requires one argument for each name.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return &usageError{cmd, fmt.Errorf("unexpected argument %q", args[len(names)])}
		}
		if len(args) < len(names) {
			return &usageError{cmd, fmt.Errorf("%s is missing", names[len(args)])}
		}

		return nil
	}
}
