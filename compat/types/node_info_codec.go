package types

import (
	"fmt"
	"net"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// maxNodeInfoBody is MaxNodeInfoSize without the two bytes that the prefix of
// the largest NodeInfo takes.
const maxNodeInfoBody = MaxNodeInfoSize - 2

// AppendBinary appends the body of the NodeInfo message, without size prefix, in
// the form of dialects B and C. The address is written with its IP, never with a
// host name. It returns an error that wraps the fault of the address, since
// peers may crash over a NodeInfo without one (docs/wire.md §4.4), or
// [ErrNodeInfoTooLarge].
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
		VersionSet: make([]wire.VersionInfo, 0, len(info.VersionSet)),
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

// UnmarshalBinary decodes the body of a NodeInfo message of dialect B or C. The
// result does not alias body; on error the receiver is unchanged. The address is
// parsed as [ParseNetAddress] does; everything else is left to Validate.
//
// Errors: [ErrNodeInfoTooLarge]; [ErrBareNodeID] for the form of dialect A; else
// the fault of the encoding or of the address.
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

// UnmarshalDialectA is UnmarshalBinary for peers of dialect A, whose NodeInfo
// has no IP and port: both are taken from socket, the TCP address of the
// connection. It returns [ErrInvalidID] when field 2 is not a bare node id.
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
