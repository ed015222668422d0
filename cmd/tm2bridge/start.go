package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
)

func newStart() *cobra.Command {
	var temporary bool
	cmd := &cobra.Command{
		Use:   "start [--home DIR | --temporary]",
		Short: "Run the bridge",
		Long: `Run the bridge of a home directory, as init makes it, until an interrupt or SIGTERM.
SIGHUP reloads the peers, the blocks and the log level of config.toml.

Each key of config.toml has a flag, and an environment variable, which counts less:
that of [p2p].laddr is TM2BRIDGE_P2P_LADDR.

With --temporary the bridge runs from a temporary home, which is removed at the end:
with a new key, without peers, on the loopback interface, at the default ports or
at free ones where those are taken.`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if temporary && cmd.Flags().Changed("home") {
				return cli.UsageError(cmd, errors.New("give either --home or --temporary"))
			}
			overrides, err := overridesOf(cmd)
			if err != nil {
				return err
			}
			s := &service{overrides: overrides, out: cmd.OutOrStdout(), log: cmd.ErrOrStderr()}
			if temporary {
				err = runTemporary(cmd.Context(), s)
			} else if s.home, err = homeOf(cmd); err == nil {
				err = s.run(cmd.Context())
			}
			if err != nil {
				return fmt.Errorf("start: %w", err)
			}

			return nil
		},
	}
	addHome(cmd)
	addKeys(cmd)
	cmd.Flags().BoolVar(&temporary, "temporary", false, "run from a temporary home")

	return cmd
}

// runTemporary runs the service from a temporary home, which it removes afterwards.
func runTemporary(ctx context.Context, s *service) (err error) {
	if s.home, err = makeTemporaryHome(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.home)) }()
	if _, err := fmt.Fprintf(s.out, "temporary home     %s, removed at the end\n", s.home); err != nil {
		return err
	}

	return s.run(ctx)
}

// makeTemporaryHome makes a home whose bridge can start on any machine.
func makeTemporaryHome() (home string, err error) {
	if home, err = os.MkdirTemp("", "tm2bridge-"); err != nil {
		return "", fmt.Errorf("unable to make a temporary home: %w", err)
	}
	cfg := config.Default()
	cfg.P2P.ListenAddress = onLoopback(config.DefaultNativeAddress)
	cfg.Bridge.Libp2pListenAddress = onLoopback(config.DefaultLibp2pAddress)
	cfg.HTTP.ListenAddress = onLoopback(config.DefaultHTTPAddress)
	if _, _, err := config.Init(home, cfg); err != nil {
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

// printBridge prints the addresses that nodes put into their configuration.
func printBridge(out io.Writer, b *bridge.Bridge, http string) error {
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
	if http != "" {
		fmt.Fprintf(&text, "page for people    http://%s/\n", http)
	}
	_, err := io.WriteString(out, text.String())

	return err
}
