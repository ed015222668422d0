package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func newID() *cobra.Command {
	var keyFile, of string
	cmd := &cobra.Command{
		Use:   "id [--home DIR | --key FILE] [--of ID]",
		Short: "Show the addresses and the IDs of the bridge, or as whom it shows a node",
		Long: `Show the addresses of the bridge in the form that configurations of nodes take,
ID@host:port, then its TM2 ID, its libp2p peer ID, and its multiaddrs. With --key the
key file of any TM2 version is read, and the listen addresses are the default ones.

With --of ID it shows the ID under which that node, when it dials the bridge, is shown
to the nodes of the other side.`,
		Args: cli.ExactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := types.ParseID(of)
			if of != "" && err != nil {
				return cli.Usagef(cmd, "--of %q: %w", of, err)
			}
			key, cfg, err := identity(cmd, keyFile)
			if err != nil {
				return err
			}
			if of != "" {
				return printPresented(cmd, *key, node)
			}

			return printID(cmd, key, cfg)
		},
	}
	addHome(cmd)
	cmd.Flags().StringVar(&keyFile, "key", "", "node key file")
	cmd.Flags().StringVar(&of, "of", "", "the TM2 ID of a node")

	return cmd
}

// identity returns the key and the configuration of a home, or the key in a file.
func identity(cmd *cobra.Command, keyFile string) (*types.NodeKey, *config.Config, error) {
	if keyFile != "" {
		if cmd.Flags().Changed("home") {
			return nil, nil, cli.UsageError(cmd, errors.New("give either --home or --key"))
		}
		key, err := types.LoadNodeKey(keyFile)

		return key, config.Default(), cli.WithStatus(exitConfig, err)
	}
	home, err := homeOf(cmd)
	if err != nil {
		return nil, nil, err
	}
	overrides, err := overridesOf(cmd)
	if err != nil {
		return nil, nil, err
	}
	cfg, _, err := loadConfig(home, overrides)
	if err != nil {
		return nil, nil, err
	}
	key, err := loadKey(home)

	return key, cfg, err
}

func printPresented(cmd *cobra.Command, key types.NodeKey, node types.ID) error {
	shown, err := bridge.PresentedID(key, node)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), shown)

	return err
}

func printID(cmd *cobra.Command, key *types.NodeKey, cfg *config.Config) error {
	peerID, err := lp2p.PeerIDFromPublicKey(ed25519.PublicKey(key.PrivKey[ed25519.SeedSize:]))
	if err != nil {
		return err
	}
	forBridge, err := cfg.ForBridge(key.ID())
	if err != nil {
		return cli.WithStatus(exitConfig, err)
	}
	var text strings.Builder
	if err := writeNative(&text, *key, forBridge); err != nil {
		return err
	}
	libp2p := reachable(forBridge.Libp2pListen)
	for _, at := range libp2p {
		fmt.Fprintf(&text, "libp2p nodes dial  %s\n", at.String())
	}
	fmt.Fprintf(&text, "TM2 ID             %s\npeer ID            %s\n", key.ID(), peerID)
	for _, at := range libp2p {
		family := "ip6"
		if at.IP.To4() != nil {
			family = "ip4"
		}
		fmt.Fprintf(&text, "multiaddr          /%s/%s/tcp/%d/p2p/%s\n", family, at.IP, at.Port, peerID)
		if forBridge.Libp2pQUIC {
			fmt.Fprintf(&text, "multiaddr          /%s/%s/udp/%d/quic-v1/p2p/%s\n", family, at.IP, at.Port, peerID)
		}
	}
	_, err = io.WriteString(cmd.OutOrStdout(), text.String())

	return err
}

// writeNative writes where native nodes dial each identity of the bridge, and its tunnels.
func writeNative(out *strings.Builder, key types.NodeKey, cfg bridge.Config) error {
	own, err := cfg.NativeAddresses(key)
	if err != nil {
		return err
	}
	for _, listen := range own {
		for _, at := range reachable(listen) {
			fmt.Fprintf(out, "native nodes dial  %s\n", at.String())
		}
	}
	for _, target := range cfg.Tunnels {
		listen := target.Listen
		listen.ID = target.Node.ID
		for _, at := range reachable(listen) {
			fmt.Fprintf(out, "tunnel             %s\n", at.String())
		}
	}

	return nil
}

// reachable returns the addresses at which a listener can be dialed: the listen address,
// or for an unspecified IP, which means both families, the addresses of this machine's
// interfaces, if there are any. It omits link-local addresses, which are valid on one link only.
func reachable(listen types.NetAddress) (addrs []types.NetAddress) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil || !listen.IP.IsUnspecified() {
		return []types.NetAddress{listen}
	}
	for _, i := range interfaces {
		prefix, err := netip.ParsePrefix(i.String())
		if err == nil && !prefix.Addr().IsLinkLocalUnicast() {
			at := listen
			at.IP = prefix.Addr().AsSlice()
			addrs = append(addrs, at)
		}
	}
	if len(addrs) == 0 {
		return []types.NetAddress{listen}
	}

	return addrs
}
