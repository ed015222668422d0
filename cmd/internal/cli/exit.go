package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// The exit statuses that every program has. Programs add their own from 3 on.
const (
	ExitOK     = 0
	ExitFailed = 1 // what the command was to do has failed
	ExitUsage  = 2 // the command line is wrong
)

// usageError is a mistake on the command line. Execute shows the usage of cmd with it.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// UsageError returns a mistake on the command line of cmd. Its exit status is ExitUsage.
func UsageError(cmd *cobra.Command, err error) error { return &usageError{cmd, err} }

// Usagef is UsageError with a text.
func Usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{cmd, fmt.Errorf(format, args...)}
}

// exitError is an error with an exit status of its own.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// WithStatus gives an error, if there is one, an exit status.
func WithStatus(status int, err error) error {
	if err == nil {
		return nil
	}

	return &exitError{status, err}
}

// statusOf returns the exit status of an error.
func statusOf(err error) int {
	var usage *usageError
	var exit *exitError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage):
		return ExitUsage
	case errors.As(err, &exit):
		return exit.status
	default:
		return ExitFailed
	}
}

// ExactArgs requires one argument for each name.
func ExactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return Usagef(cmd, "unexpected argument %q", args[len(names)])
		}
		if len(args) < len(names) {
			return Usagef(cmd, "%s is missing", names[len(args)])
		}

		return nil
	}
}

// AtLeastOneArg requires one argument or more, which the usage calls name.
func AtLeastOneArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return Usagef(cmd, "%s is missing", name)
		}

		return nil
	}
}
