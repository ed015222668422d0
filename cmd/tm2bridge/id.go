package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/spf13/cobra"

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
	peerID, err := peerIDOf(key)
	if err != nil {
		return err
	}
	addrs, err := cfg.Addresses(key.ID())
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if _, err := fmt.Fprintf(out, "TM2 ID     %s\npeer ID    %s\n", key.ID(), peerID); err != nil {
		return err
	}
	for _, at := range reachable(addrs.Libp2pListen) {
		multi, err := toMultiaddr(at, peerID)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "multiaddr  %s\n", multi); err != nil {
			return err
		}
	}

	return nil
}

func peerIDOf(key *types.NodeKey) (peer.ID, error) {
	return lp2p.PeerIDFromPublicKey(ed25519.PublicKey(key.PrivKey[ed25519.SeedSize:]))
}

func toMultiaddr(addr types.NetAddress, id peer.ID) (multiaddr.Multiaddr, error) {
	tcp, err := manet.FromNetAddr(&net.TCPAddr{IP: addr.IP, Port: int(addr.Port)})
	if err != nil {
		return nil, fmt.Errorf("%s has no multiaddr: %w", addr.DialString(), err)
	}
	p2p, err := multiaddr.NewComponent("p2p", id.String())
	if err != nil {
		return nil, fmt.Errorf("peer %s has no multiaddr: %w", id, err)
	}

	return tcp.Encapsulate(p2p), nil
}

// reachable returns the addresses at which a listener can be dialed: the listen address,
// or for an unspecified IP the addresses of this machine's interfaces. It omits
// link-local addresses, which are valid on one link only.
func reachable(listen types.NetAddress) []types.NetAddress {
	if !listen.IP.IsUnspecified() {
		return []types.NetAddress{listen}
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return []types.NetAddress{listen}
	}
	v4 := listen.IP.To4() != nil
	var addrs []types.NetAddress
	for _, i := range interfaces {
		prefix, err := netip.ParsePrefix(i.String())
		if err != nil || prefix.Addr().IsLinkLocalUnicast() || (v4 && !prefix.Addr().Is4()) {
			continue
		}
		at := listen
		at.IP = prefix.Addr().AsSlice()
		addrs = append(addrs, at)
	}
	if len(addrs) == 0 {
		return []types.NetAddress{listen}
	}

	return addrs
}
