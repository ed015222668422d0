package types

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxNodeInfoSize is the limit of an encoded NodeInfo in bytes, with its size prefix
// (docs/wire.md §4).
const MaxNodeInfoSize = 10240

const maxNumChannels = 16 // that a NodeInfo may list

// Errors of NodeInfo. All are returned wrapped.
var (
	ErrInvalidVersion       = errors.New("invalid node version")
	ErrInvalidMoniker       = errors.New("invalid node moniker")
	ErrInvalidRPCAddress    = errors.New("invalid node RPC address")
	ErrExcessiveChannels    = errors.New("excessive node channels")
	ErrDuplicateChannels    = errors.New("duplicate node channels")
	ErrIncompatibleNetworks = errors.New("incompatible networks")
	ErrNoCommonChannels     = errors.New("no common channels")
	ErrNodeInfoTooLarge     = errors.New("node info too large")
	ErrBareNodeID           = errors.New("node info has a bare node id instead of id@ip:port (dialect A)")
)

// NodeInfo is what a node tells about itself in the handshake (docs/wire.md §4).
type NodeInfo struct {
	VersionSet VersionSet `json:"version_set"`

	// NetAddress is where the node can be dialed. It is never nil in a valid
	// NodeInfo, but the IP may be unspecified.
	NetAddress *NetAddress `json:"net_address"`

	Network  string `json:"network"`  // chain id
	Software string `json:"software"` // unset by real nodes
	Version  string `json:"version"`  // version of the software
	Channels []byte `json:"channels"` // one byte per channel id

	Moniker string        `json:"moniker"` // name for people
	Other   NodeInfoOther `json:"other"`
}

// NodeInfoOther holds facts about the application.
type NodeInfoOther struct {
	TxIndex    string `json:"tx_index"`    // "on" or "off"
	RPCAddress string `json:"rpc_address"` // listen address of the RPC server
}

// Validate checks what strict peers check (docs/wire.md §4.3, step 2). The address is
// present and well formed, whether or not it can be dialed. There are at most 16 channels,
// none twice. Moniker, version and RPC address are printable ASCII with a non-space; the
// last two may be empty. The error wraps one of this package's errors.
func (info NodeInfo) Validate() error {
	if err := info.NetAddress.validateFormat(); err != nil {
		return fmt.Errorf("invalid net address in node info: %w", err)
	}
	if n := len(info.Channels); n > maxNumChannels {
		return fmt.Errorf("%w: %d, limit %d", ErrExcessiveChannels, n, maxNumChannels)
	}
	for i, ch := range info.Channels {
		if slices.Contains(info.Channels[:i], ch) {
			return fmt.Errorf("%w: %#02x", ErrDuplicateChannels, ch)
		}
	}
	for _, text := range []struct {
		value    string
		required bool
		err      error
	}{
		{info.Version, false, ErrInvalidVersion},
		{info.Moniker, true, ErrInvalidMoniker},
		{info.Other.RPCAddress, false, ErrInvalidRPCAddress},
	} {
		if (text.required || text.value != "") && !isText(text.value) {
			return fmt.Errorf("%w: %s", text.err, quote(text.value))
		}
	}

	return nil
}

// isText reports whether s is printable ASCII with at least one non-space.
func isText(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}

	return strings.Trim(s, " ") != ""
}

// ID returns the id in the node's address, or the empty ID without an address.
func (info NodeInfo) ID() ID {
	if info.NetAddress == nil {
		return ""
	}

	return info.NetAddress.ID
}

// DialAddress returns the address at which the node can be dialed. It is not a
// copy, and nil only in an invalid NodeInfo.
func (info NodeInfo) DialAddress() *NetAddress { return info.NetAddress }

// CompatibleWith checks whether this node can talk to the other one (docs/wire.md §4.3,
// steps 4 to 6): their version sets fit, their network is the same, and they have a channel
// in common. The error wraps [ErrIncompatibleVersions], [ErrIncompatibleNetworks] or
// [ErrNoCommonChannels] and names the values of both sides.
func (info NodeInfo) CompatibleWith(other NodeInfo) error {
	if _, err := info.VersionSet.CompatibleWith(other.VersionSet); err != nil {
		return err
	}

	if info.Network != other.Network {
		return fmt.Errorf("%w: ours %s, theirs %s",
			ErrIncompatibleNetworks, quote(info.Network), quote(other.Network))
	}

	common := func(ch byte) bool { return slices.Contains(other.Channels, ch) }
	if slices.ContainsFunc(info.Channels, common) {
		return nil
	}

	return fmt.Errorf("%w: ours [%s], theirs [%s]",
		ErrNoCommonChannels, listChannels(info.Channels), listChannels(other.Channels))
}

func listChannels(channels []byte) string {
	if len(channels) > maxListed {
		return fmt.Sprintf("% x ...", channels[:maxListed])
	}

	return fmt.Sprintf("% x", channels)
}
