package wire

import "google.golang.org/protobuf/encoding/protowire"

const nodeInfoMessage = "node info"

// Field numbers of a NodeInfo and its parts (docs/wire.md §4).
const (
	infoVersionSet protowire.Number = 1
	infoNetAddress protowire.Number = 2
	infoNetwork    protowire.Number = 3
	infoSoftware   protowire.Number = 4
	infoVersion    protowire.Number = 5
	infoChannels   protowire.Number = 6
	infoMoniker    protowire.Number = 7
	infoOther      protowire.Number = 8

	versionName     protowire.Number = 1
	versionVersion  protowire.Number = 2
	versionOptional protowire.Number = 3

	otherTxIndex    protowire.Number = 1
	otherRPCAddress protowire.Number = 2
)

// VersionInfo is one entry of a NodeInfo's version set.
type VersionInfo struct {
	Name     string
	Version  string
	Optional bool
}

// NodeInfo holds the fields of a NodeInfo message without any validation.
// NetAddress is id@ip:port in dialects B and C, a bare node ID in dialect A.
// Strings may contain any bytes.
type NodeInfo struct {
	VersionSet []VersionInfo
	NetAddress string
	Network    string
	Software   string
	Version    string
	Channels   []byte // one byte per channel id
	Moniker    string
	TxIndex    string
	RPCAddress string
}

// AppendNodeInfo appends a NodeInfo message without a size prefix.
func AppendNodeInfo(dst []byte, n *NodeInfo) []byte {
	for _, v := range n.VersionSet {
		dst = appendVersionInfo(dst, v)
	}

	dst = appendField(dst, infoNetAddress, n.NetAddress)
	dst = appendField(dst, infoNetwork, n.Network)
	dst = appendField(dst, infoSoftware, n.Software)
	dst = appendField(dst, infoVersion, n.Version)
	dst = appendField(dst, infoChannels, n.Channels)
	dst = appendField(dst, infoMoniker, n.Moniker)

	size := stringFieldSize(otherTxIndex, n.TxIndex) + stringFieldSize(otherRPCAddress, n.RPCAddress)
	if size == 0 {
		return dst
	}

	dst = protowire.AppendTag(dst, infoOther, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = appendField(dst, otherTxIndex, n.TxIndex)

	return appendField(dst, otherRPCAddress, n.RPCAddress)
}

// appendVersionInfo appends one element of the version set. Unlike other fields,
// elements of a repeated field are written even when they are empty.
func appendVersionInfo(dst []byte, v VersionInfo) []byte {
	size := stringFieldSize(versionName, v.Name) + stringFieldSize(versionVersion, v.Version)
	if v.Optional {
		size += protowire.SizeTag(versionOptional) + 1
	}

	dst = protowire.AppendTag(dst, infoVersionSet, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = appendField(dst, versionName, v.Name)
	dst = appendField(dst, versionVersion, v.Version)

	if v.Optional {
		dst = protowire.AppendTag(dst, versionOptional, protowire.VarintType)
		dst = append(dst, 1)
	}

	return dst
}

// DecodeNodeInfo decodes the body of a NodeInfo message. The result does not
// alias body. DecodeNodeInfo checks only the encoding. The caller limits the
// length of body (10240 bytes with prefix on the native stack, docs/wire.md §4).
func DecodeNodeInfo(body []byte) (NodeInfo, error) {
	var (
		n NodeInfo
		r = newFieldReader(nodeInfoMessage, body, infoVersionSet)
	)

	if err := r.each(func() error { return n.decodeField(&r) }); err != nil {
		return NodeInfo{}, err
	}

	return n, nil
}

func (n *NodeInfo) decodeField(r *fieldReader) (err error) {
	switch r.num {
	case infoVersionSet:
		err = n.decodeVersion(r)
	case infoNetAddress:
		n.NetAddress, err = r.str("net address")
	case infoNetwork:
		n.Network, err = r.str("network")
	case infoSoftware:
		n.Software, err = r.str("software")
	case infoVersion:
		n.Version, err = r.str("version")
	case infoChannels:
		var channels []byte

		channels, err = r.bytes("channels")
		n.Channels = append([]byte(nil), channels...)
	case infoMoniker:
		n.Moniker, err = r.str("moniker")
	case infoOther:
		err = n.decodeOther(r)
	default:
		err = r.unknown()
	}

	return err
}

// decodeVersion appends one element to the version set.
func (n *NodeInfo) decodeVersion(outer *fieldReader) error {
	body, err := outer.bytes("version set")
	if err != nil {
		return err
	}

	var (
		v VersionInfo
		r = newFieldReader(nodeInfoMessage+": version set", body, 0)
	)

	err = r.each(func() (err error) {
		switch r.num {
		case versionName:
			v.Name, err = r.str("name")
		case versionVersion:
			v.Version, err = r.str("version")
		case versionOptional:
			v.Optional, err = r.boolean("optional")
		default:
			err = r.unknown()
		}

		return err
	})
	n.VersionSet = append(n.VersionSet, v)

	return err
}

func (n *NodeInfo) decodeOther(outer *fieldReader) error {
	body, err := outer.bytes("other")
	if err != nil {
		return err
	}
	r := newFieldReader(nodeInfoMessage+": other", body, 0)

	return r.each(func() (err error) {
		switch r.num {
		case otherTxIndex:
			n.TxIndex, err = r.str("tx index")
		case otherRPCAddress:
			n.RPCAddress, err = r.str("rpc address")
		default:
			err = r.unknown()
		}

		return err
	})
}
