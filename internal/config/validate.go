package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

const (
	// minBufferBytes is the smallest budget that TM2 accepts: one block of the
	// largest size with its framing (docs/wire.md §5.4).
	minBufferBytes = 8<<20 + 64<<10
	// maxPayloadSize is far above what any node accepts.
	maxPayloadSize = 1 << 20
)

// Validate returns a *FieldError for the first value that a bridge cannot work
// with. It resolves no host names.
func (c *Config) Validate() error {
	if err := c.validateAddresses(); err != nil {
		return err
	}
	p := &c.P2P
	if p.MaxPacketMsgPayloadSize < 1 || p.MaxPacketMsgPayloadSize > maxPayloadSize {
		return &FieldError{"[p2p].max_packet_msg_payload_size", p.MaxPacketMsgPayloadSize,
			fmt.Sprintf("it must be between 1 and %d", maxPayloadSize)}
	}
	if p.FlushThrottleTimeout < 0 || p.FlushThrottleTimeout > time.Minute {
		return &FieldError{"[p2p].flush_throttle_timeout", p.FlushThrottleTimeout.String(), "it must be between 0s and 1m"}
	}
	if p.RecvAssemblyTimeout < 0 {
		return &FieldError{"[p2p].recv_assembly_timeout", p.RecvAssemblyTimeout.String(), "it must not be negative"}
	}
	for _, rate := range []struct {
		key   string
		value int64
	}{{"[p2p].send_rate", p.SendRate}, {"[p2p].recv_rate", p.RecvRate}} {
		if rate.value < 0 {
			return &FieldError{rate.key, rate.value, "it must not be negative"}
		}
	}
	for _, budget := range []struct {
		key   string
		value int
	}{{"[p2p].max_recv_buffer_bytes", p.MaxRecvBufferBytes}, {"[p2p].max_send_buffer_bytes", p.MaxSendBufferBytes}} {
		if budget.value != 0 && budget.value < minBufferBytes {
			return &FieldError{budget.key, budget.value, fmt.Sprintf("it must be 0 or at least %d", minBufferBytes)}
		}
	}
	if c.Bridge.MaxPairs < 1 {
		return &FieldError{"[bridge].max_pairs", c.Bridge.MaxPairs, "it must be at least 1"}
	}
	if c.Bridge.MaxPairsPerIP < 0 {
		return &FieldError{"[bridge].max_pairs_per_ip", c.Bridge.MaxPairsPerIP, "it must not be negative"}
	}
	mConfig := c.MConnConfig()
	if err := mConfig.Validate(); err != nil {
		return fmt.Errorf("[p2p]: %w", err)
	}

	return nil
}

func (c *Config) validateAddresses() error {
	legacy, err := parseListen(keyLegacyListen, c.P2P.ListenAddress)
	if err != nil {
		return err
	}
	libp2p, err := parseListen(keyLibp2pListen, c.Bridge.Libp2pListenAddress)
	if err != nil {
		return err
	}
	if legacy == libp2p && legacy.Port() != 0 {
		return &FieldError{keyLibp2pListen, c.Bridge.Libp2pListenAddress, "it is the same as " + keyLegacyListen}
	}
	for _, list := range []struct{ key, value string }{
		{keyLegacyPeers, c.P2P.PersistentPeers}, {keyLibp2pPeers, c.Bridge.Libp2pPeers},
	} {
		for _, peer := range splitList(list.value) {
			if err := checkPeer(peer); err != nil {
				return &FieldError{list.key, peer, err.Error()}
			}
		}
	}
	_, err = peerIDs(keyPrivatePeers, c.P2P.PrivatePeerIDs)

	return err
}

// parseListen reads "tcp://IP:port" or "IP:port"; without an IP all addresses
// are meant.
func parseListen(key, value string) (netip.AddrPort, error) {
	wrong := func(reason string) (netip.AddrPort, error) {
		return netip.AddrPort{}, &FieldError{key, value, reason}
	}

	rest := value
	if scheme, after, found := strings.Cut(value, "://"); found {
		if scheme != "tcp" {
			return wrong("only tcp:// is supported")
		}
		rest = after
	}
	host, portText, err := net.SplitHostPort(rest)
	if err != nil {
		return wrong(`it must be an IP address and a port, as "tcp://0.0.0.0:26656"`)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Zone() != "" {
		return wrong(fmt.Sprintf("%q is not an IP address", host))
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return wrong(fmt.Sprintf("%q is not a port between 0 and 65535", portText))
	}

	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), nil
}

func listenAddress(key, value string, id types.ID) (types.NetAddress, error) {
	at, err := parseListen(key, value)
	if err != nil {
		return types.NetAddress{}, err
	}

	return types.NetAddress{ID: id, IP: at.Addr().AsSlice(), Port: at.Port()}, nil
}

// splitList splits a comma separated list as TM2 does: spaces and empty entries
// do not matter.
func splitList(value string) []string {
	var list []string
	for entry := range strings.SplitSeq(value, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			list = append(list, entry)
		}
	}

	return list
}

// checkPeer checks the form ID@host:port without resolving the host.
func checkPeer(peer string) error {
	_, err := types.ParseNetAddress(peer)
	if err != nil && !errors.Is(err, types.ErrHostnameNotIP) {
		return fmt.Errorf("it must be ID@host:port: %w", err)
	}
	if strings.HasSuffix(peer, ":0") {
		return errors.New("port 0 cannot be dialed")
	}

	return nil
}

func peerAddresses(key, value string) ([]*types.NetAddress, error) {
	var addrs []*types.NetAddress
	for _, peer := range splitList(value) {
		addr, err := types.NewNetAddressFromString(peer)
		if err != nil {
			return nil, &FieldError{key, peer, err.Error()}
		}
		addrs = append(addrs, addr)
	}

	return addrs, nil
}

func peerIDs(key, value string) ([]types.ID, error) {
	var ids []types.ID
	for _, entry := range splitList(value) {
		id := types.ID(entry)
		if err := id.Validate(); err != nil {
			return nil, &FieldError{key, entry, fmt.Sprintf("it is not a TM2 ID: %v", err)}
		}
		ids = append(ids, id)
	}

	return ids, nil
}
