package cli

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

// Main runs a program: it executes the command line of the process, as Run does, and exits
// with its status.
func Main(root *cobra.Command) { os.Exit(Run(root, os.Args[1:], os.Stdout, os.Stderr)) }

// Run is Execute until SIGINT or SIGTERM. A second signal ends the process at once.
func Run(root *cobra.Command, args []string, stdout, stderr io.Writer) (status int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	return Execute(ctx, root, args, stdout, stderr)
}

// Execute executes a command line and returns the exit status. Results go to stdout,
// errors to stderr, as Printable makes them. The context ends the command.
func Execute(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) (status int) {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)

	err := root.ExecuteContext(ctx)
	if err == nil {
		return ExitOK
	}
	fmt.Fprintf(stderr, "%s: %s\n", root.Name(), Printable(err.Error()))
	if usage, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(stderr, "\nUsage:\n  %s\n\nRun %q for its flags.\n", usage.cmd.UseLine(), usage.cmd.CommandPath()+" --help")
	}

	return statusOf(err)
}

// NewRoot returns the root of a program with the commands, and with one that shows the
// version. A mistyped command is answered with those that are like it.
func NewRoot(name, short string, commands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:           name,
		Short:         short,
		Version:       versionLine(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return Usagef(cmd, "there is no command %q%s", args[0], suggestions(cmd, args[0]))
			}

			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate(name + " {{.Version}}\n")
	root.SetFlagErrorFunc(UsageError)
	root.AddCommand(commands...)
	root.AddCommand(newVersion(name))

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
