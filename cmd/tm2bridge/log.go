package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
)

// addLogLevel adds the --log-level flag, which newLogger reads.
func addLogLevel(cmd *cobra.Command, def slog.Level) {
	cmd.Flags().String("log-level", def.String(), "least level that is logged: DEBUG, INFO, WARN or ERROR")
}

// newLogger returns a logger that writes text to the standard error.
func newLogger(cmd *cobra.Command) (*slog.Logger, error) {
	text, err := cmd.Flags().GetString("log-level")
	if err != nil {
		return nil, err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return nil, cli.Usagef(cmd, "--log-level %q: it must be DEBUG, INFO, WARN or ERROR", text)
	}

	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level})), nil
}

// newServiceLogger returns the logger of a bridge, whose level may change.
func newServiceLogger(out io.Writer, log config.Log) (*slog.Logger, *slog.LevelVar, error) {
	level, err := log.SlogLevel()
	if err != nil {
		return nil, nil, err
	}
	var current slog.LevelVar
	current.Set(level)
	opts := &slog.HandlerOptions{Level: &current}
	if log.Format == config.FormatJSON {
		return slog.New(slog.NewJSONHandler(out, opts)), &current, nil
	}

	return slog.New(slog.NewTextHandler(out, opts)), &current, nil
}
