package types

import (
	"fmt"
	"net"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// maxNodeInfoBody is MaxNodeInfoSize less the size prefix of the largest NodeInfo, 2 bytes.
const maxNodeInfoBody = MaxNodeInfoSize - 2

// AppendBinary appends the body of the NodeInfo message, without size prefix, in the form of
// dialects B and C. The address has the IP, never the host name. The error is
// [ErrNodeInfoTooLarge] or wraps what is wrong with the address: a NodeInfo without an
// address may crash peers (docs/wire.md §4.4).
func (info NodeInfo) AppendBinary(b []byte) ([]byte, error) {
	if err := info.NetAddress.validateFormat(); err != nil {
		return nil, fmt.Errorf("unable to encode node info: %w", err)
	}

	return info.appendBody(b, info.NetAddress.String())
}

// AppendDialectA is AppendBinary for peers of dialect A: it writes the bare node
// id instead of the address (docs/wire.md §1).
func (info NodeInfo) AppendDialectA(b []byte) ([]byte, error) {
	id := info.ID()
	if err := id.Validate(); err != nil {
		return nil, fmt.Errorf("unable to encode node info: %w", err)
	}

	return info.appendBody(b, id.String())
}

// MarshalBinary returns what AppendBinary appends.
func (info NodeInfo) MarshalBinary() ([]byte, error) { return info.AppendBinary(nil) }

func (info NodeInfo) appendBody(b []byte, netAddress string) ([]byte, error) {
	msg := wire.NodeInfo{
		NetAddress: netAddress,
		Network:    info.Network,
		Software:   info.Software,
		Version:    info.Version,
		Channels:   info.Channels,
		Moniker:    info.Moniker,
		TxIndex:    info.Other.TxIndex,
		RPCAddress: info.Other.RPCAddress,
	}

	for _, v := range info.VersionSet {
		msg.VersionSet = append(msg.VersionSet, wire.VersionInfo(v))
	}

	encoded := wire.AppendNodeInfo(b, &msg)
	if size := len(encoded) - len(b); size > maxNodeInfoBody {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrNodeInfoTooLarge, size, maxNodeInfoBody)
	}

	return encoded, nil
}

// UnmarshalBinary decodes the body of a NodeInfo message of dialect B or C. The result does
// not alias body, and the receiver is unchanged after an error. It checks the encoding and,
// as [ParseNetAddress] does, the address; Validate checks the rest. The error is
// [ErrNodeInfoTooLarge], [ErrBareNodeID] for the form of dialect A, or wraps what is wrong.
func (info *NodeInfo) UnmarshalBinary(body []byte) error {
	decoded, address, err := decodeBody(body)
	if err != nil {
		return err
	}

	// Only dialect A writes no "@" (docs/wire.md §1.2).
	if !strings.Contains(address, "@") && ID(address).Validate() == nil {
		return fmt.Errorf("%w: %s", ErrBareNodeID, address)
	}

	if decoded.NetAddress, err = ParseNetAddress(address); err != nil {
		return fmt.Errorf("invalid net address in node info: %w", err)
	}

	*info = decoded

	return nil
}

// UnmarshalDialectA is UnmarshalBinary for peers of dialect A, whose NodeInfo has no IP and
// port. It takes both from socket, a TCP address. It returns [ErrInvalidID] if field 2 is not
// a bare node ID.
func (info *NodeInfo) UnmarshalDialectA(body []byte, socket net.Addr) error {
	decoded, id, err := decodeBody(body)
	if err != nil {
		return err
	}

	if decoded.NetAddress, err = NewNetAddress(ID(id), socket); err != nil {
		return fmt.Errorf("invalid node id in node info: %w", err)
	}

	*info = decoded

	return nil
}

// decodeBody decodes everything but the address, which it returns as it is.
func decodeBody(body []byte) (info NodeInfo, address string, err error) {
	if len(body) > maxNodeInfoBody {
		return NodeInfo{}, "", fmt.Errorf("%w: %d bytes, limit %d", ErrNodeInfoTooLarge, len(body), maxNodeInfoBody)
	}

	msg, err := wire.DecodeNodeInfo(body)
	if err != nil {
		return NodeInfo{}, "", err
	}

	info = NodeInfo{
		Network:  msg.Network,
		Software: msg.Software,
		Version:  msg.Version,
		Channels: msg.Channels,
		Moniker:  msg.Moniker,
		Other:    NodeInfoOther{TxIndex: msg.TxIndex, RPCAddress: msg.RPCAddress},
	}

	for _, v := range msg.VersionSet {
		info.VersionSet = append(info.VersionSet, VersionInfo(v))
	}

	return info, msg.NetAddress, nil
}
