package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func newStart() *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use:   "start [--home DIR]",
		Short: "Run the bridge",
		Long: `Run the bridge of a home directory, as init makes it, until an interrupt.

Without --home the bridge runs from a temporary home, which is removed at the end:
with a new key, without peers, on the loopback interface, at the default ports or
at free ones where those are taken.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := newLogger(cmd)
			if err != nil {
				return err
			}
			run := runBridge
			if home == "" {
				run = runTemporary
			}
			if err := run(cmd.Context(), home, cmd.OutOrStdout(), logger); err != nil {
				return fmt.Errorf("start: %w", err)
			}

			return nil
		},
	}
	cmd.Flags().StringVar(&home, "home", "", "home directory (default: a temporary one)")
	addLogLevel(cmd, slog.LevelInfo)

	return cmd
}

// runTemporary runs a bridge from a temporary home, which it removes afterwards.
func runTemporary(ctx context.Context, _ string, out io.Writer, logger *slog.Logger) (err error) {
	home, err := makeTemporaryHome()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	if _, err := fmt.Fprintf(out, "temporary home     %s, removed at the end\n", home); err != nil {
		return err
	}

	return runBridge(ctx, home, out, logger)
}

// makeTemporaryHome makes a home whose bridge can start on any machine.
func makeTemporaryHome() (home string, err error) {
	if home, err = os.MkdirTemp("", "tm2bridge-"); err != nil {
		return "", fmt.Errorf("unable to make a temporary home: %w", err)
	}
	cfg := config.Default()
	cfg.P2P.ListenAddress = onLoopback(config.DefaultNativeAddress)
	cfg.Bridge.Libp2pListenAddress = onLoopback(config.DefaultLibp2pAddress)
	if _, err := config.Init(home, cfg); err != nil {
		return "", errors.Join(err, os.RemoveAll(home))
	}

	return home, nil
}

// onLoopback returns the loopback address with the port of a default listen address, or
// with port 0 when that port is taken.
func onLoopback(address string) string {
	address = strings.Replace(address, "0.0.0.0", "127.0.0.1", 1)
	listener, err := net.Listen("tcp", strings.TrimPrefix(address, "tcp://"))
	if err == nil {
		err = listener.Close()
	}
	if err != nil {
		return "tcp://127.0.0.1:0"
	}

	return address
}

// runBridge runs the bridge of a home until the context ends.
func runBridge(ctx context.Context, home string, out io.Writer, logger *slog.Logger) error {
	b, err := loadBridge(home, logger)
	if err != nil {
		return err
	}
	if err := b.Start(); err != nil {
		return err
	}
	err = printBridge(out, b)
	if err == nil {
		<-ctx.Done()
		logger.Info("stopping", "reason", context.Cause(ctx))
	}

	return errors.Join(err, b.Stop())
}

// loadBridge returns the bridge of a home. It does not start the bridge.
func loadBridge(home string, logger *slog.Logger) (*bridge.Bridge, error) {
	cfg, warnings, err := config.Load(config.Path(home))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (make a home with: tm2bridge init --home %s)", err, home)
	}
	if err != nil {
		return nil, err
	}
	for _, warning := range warnings {
		logger.Warn("configuration", "file", config.Path(home), "warning", warning)
	}
	key, err := types.LoadNodeKey(config.NodeKeyPath(home))
	if err != nil {
		return nil, err
	}
	forBridge, err := cfg.ForBridge(key.ID())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Path(home), err)
	}
	if len(forBridge.Libp2pPeers) == 0 {
		until := ""
		if !forBridge.OnlyConfigured {
			until = " until a libp2p peer has dialed it"
		}
		logger.Warn("[bridge].libp2p_peers is empty: native peers that dial the bridge will be refused" + until)
	}
	if len(forBridge.NativePeers) == 0 {
		logger.Info("[p2p].persistent_peers is empty: libp2p peers that dial the bridge will be refused")
	}

	return bridge.New(*key, forBridge, logger)
}

// printBridge prints the addresses that nodes put into their configuration.
func printBridge(out io.Writer, b *bridge.Bridge) error {
	var text strings.Builder
	for _, own := range b.NativeAddresses() {
		for _, at := range reachable(own) {
			fmt.Fprintf(&text, "native nodes dial  %s\n", at.String())
		}
	}
	for _, own := range b.TunnelAddresses() {
		for _, at := range reachable(own) {
			fmt.Fprintf(&text, "tunnel             %s\n", at.String())
		}
	}
	for _, at := range reachable(b.Libp2pAddress()) {
		fmt.Fprintf(&text, "libp2p nodes dial  %s\n", at.String())
	}
	for _, m := range b.Multiaddrs() {
		fmt.Fprintf(&text, "multiaddr          %s\n", m)
	}
	_, err := io.WriteString(out, text.String())

	return err
}
