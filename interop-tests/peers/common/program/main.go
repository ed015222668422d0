package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// NewNode makes a node that listens. The node reports EventListening from Start, and then
// its other events.
type NewNode func(Config, *Reporter, *slog.Logger) (Node, error)

// Main is the main function of a peer process. more adds flags of its own.
func Main(newNode NewNode, more ...func(*flag.FlagSet)) {
	c, err := parseFlags(os.Args[1:], more)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(c, newNode)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gnopeer:", err)
		os.Exit(1)
	}
}

func run(c Config, newNode NewNode) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	out := newReporter(os.Stdout)
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel}))
	n, err := newNode(c, out, logger)
	if err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return errors.Join(err, n.Stop())
	}
	err = serve(ctx, os.Stdin, n, out)

	return errors.Join(err, n.Stop(), out.Err())
}
