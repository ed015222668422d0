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

// NodeInfo holds the fields of a NodeInfo message as they are on the wire, not
// validated. NetAddress is id@ip:port in dialects B and C, a bare node id in
// dialect A. Strings may contain any bytes.
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

// AppendNodeInfo appends the body of a NodeInfo message, without size prefix.
func AppendNodeInfo(dst []byte, n *NodeInfo) []byte {
	for _, v := range n.VersionSet {
		dst = appendVersionInfo(dst, v)
	}

	dst = appendStringField(dst, infoNetAddress, n.NetAddress)
	dst = appendStringField(dst, infoNetwork, n.Network)
	dst = appendStringField(dst, infoSoftware, n.Software)
	dst = appendStringField(dst, infoVersion, n.Version)
	dst = appendField(dst, infoChannels, n.Channels)
	dst = appendStringField(dst, infoMoniker, n.Moniker)

	size := stringFieldSize(otherTxIndex, n.TxIndex) + stringFieldSize(otherRPCAddress, n.RPCAddress)
	if size == 0 {
		return dst
	}

	dst = protowire.AppendTag(dst, infoOther, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = appendStringField(dst, otherTxIndex, n.TxIndex)

	return appendStringField(dst, otherRPCAddress, n.RPCAddress)
}

// appendVersionInfo appends one element of the version set; elements of
// repeated fields are written even when they are empty.
func appendVersionInfo(dst []byte, v VersionInfo) []byte {
	size := stringFieldSize(versionName, v.Name) + stringFieldSize(versionVersion, v.Version)
	if v.Optional {
		size += protowire.SizeTag(versionOptional) + 1
	}

	dst = protowire.AppendTag(dst, infoVersionSet, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = appendStringField(dst, versionName, v.Name)
	dst = appendStringField(dst, versionVersion, v.Version)

	if v.Optional {
		dst = protowire.AppendTag(dst, versionOptional, protowire.VarintType)
		dst = append(dst, 1)
	}

	return dst
}

// DecodeNodeInfo decodes the body of a NodeInfo message. The result does not
// alias body. Nothing but the encoding is checked; the caller limits the length
// of body (10240 bytes with prefix on the native stack, docs/wire.md §4).
func DecodeNodeInfo(body []byte) (n NodeInfo, err error) {
	r := newFieldReader(nodeInfoMessage, body, infoVersionSet)
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

	var v VersionInfo
	r := newFieldReader(nodeInfoMessage+": version set", body, 0)
	if err := r.each(func() (err error) {
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
	}); err != nil {
		return err
	}
	n.VersionSet = append(n.VersionSet, v)

	return nil
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
