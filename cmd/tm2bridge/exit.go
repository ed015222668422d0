package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// The exit statuses (docs/operate.md).
const (
	exitOK     = 0
	exitFailed = 1 // what the command was to do has failed
	exitUsage  = 2 // the command line is wrong
	exitConfig = 3 // the configuration, the key or the token cannot be used
	exitListen = 4 // the bridge cannot listen
	exitStop   = 5 // the bridge did not stop in time
)

// errStop says that the bridge did not stop in time.
var errStop = errors.New("the bridge did not stop in time")

// usageError is a mistake on the command line. execute shows the usage of cmd with it.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// exitError is an error with an exit status of its own.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// withStatus gives an error, if there is one, an exit status.
func withStatus(status int, err error) error {
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
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &exit):
		return exit.status
	default:
		return exitFailed
	}
}

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
