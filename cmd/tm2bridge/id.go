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
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func newID() *cobra.Command {
	var home, keyFile string
	cmd := &cobra.Command{
		Use:   "id {--home DIR | --key FILE}",
		Short: "Show the TM2 ID, the libp2p peer ID and the multiaddrs of a node key",
		Long: `Show the TM2 ID and the libp2p peer ID of a node key, and the multiaddrs of the
libp2p listen address in config.toml, or of the default one with --key. Key files
of all TM2 versions are read.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (home == "") == (keyFile == "") {
				return &usageError{cmd, errors.New("give either --home or --key")}
			}
			cfg := config.Default()
			if home != "" {
				var err error
				if cfg, _, err = config.Load(config.Path(home)); err != nil {
					return err
				}
				keyFile = config.NodeKeyPath(home)
			}
			key, err := types.LoadNodeKey(keyFile)
			if err != nil {
				return err
			}

			return printID(cmd, key, cfg)
		},
	}
	cmd.Flags().StringVar(&home, "home", "", "home directory")
	cmd.Flags().StringVar(&keyFile, "key", "", "node key file")

	return cmd
}

func printID(cmd *cobra.Command, key *types.NodeKey, cfg *config.Config) error {
	peerID, err := lp2p.PeerIDFromPublicKey(ed25519.PublicKey(key.PrivKey[ed25519.SeedSize:]))
	if err != nil {
		return err
	}
	forBridge, err := cfg.ForBridge(key.ID())
	if err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "TM2 ID     %s\npeer ID    %s\n", key.ID(), peerID)
	for _, at := range reachable(forBridge.Libp2pListen) {
		family := "ip6"
		if at.IP.To4() != nil {
			family = "ip4"
		}
		fmt.Fprintf(&text, "multiaddr  /%s/%s/tcp/%d/p2p/%s\n", family, at.IP, at.Port, peerID)
		if forBridge.Libp2pQUIC {
			fmt.Fprintf(&text, "multiaddr  /%s/%s/udp/%d/quic-v1/p2p/%s\n", family, at.IP, at.Port, peerID)
		}
	}
	_, err = io.WriteString(cmd.OutOrStdout(), text.String())

	return err
}

// reachable returns the addresses at which a listener can be dialed: the listen address,
// or for an unspecified IP the addresses of this machine's interfaces, if there are any. It
// omits link-local addresses, which are valid on one link only.
func reachable(listen types.NetAddress) (addrs []types.NetAddress) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil || !listen.IP.IsUnspecified() {
		return []types.NetAddress{listen}
	}
	v4 := listen.IP.To4() != nil
	for _, i := range interfaces {
		prefix, err := netip.ParsePrefix(i.String())
		if err == nil && !prefix.Addr().IsLinkLocalUnicast() && (!v4 || prefix.Addr().Is4()) {
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
