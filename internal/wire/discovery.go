package wire

import "google.golang.org/protobuf/encoding/protowire"

const (
	discoveryMessage = "discovery message"
	responseMessage  = "discovery response"

	requestName  = "p2p.Request"
	responseName = "p2p.Response"
	requestURL   = "/" + requestName
	responseURL  = "/" + responseName

	responseAddress protowire.Number = 1

	// maxResponseAddrs is the most addresses in a discovery response that strict
	// versions accept (docs/wire.md §6).
	maxResponseAddrs = 30
)

// AppendRequest appends a discovery request without a size prefix
// (docs/wire.md §6).
func AppendRequest(dst []byte) []byte {
	return appendField(dst, anyTypeURL, requestURL)
}

// AppendResponse appends a discovery response with the given address strings and
// without a size prefix. It does not check their number: receivers refuse a
// response with none and one with more than 30.
func AppendResponse(dst []byte, addrs []string) []byte {
	dst = appendField(dst, anyTypeURL, responseURL)

	size := 0
	for _, addr := range addrs {
		size += protowire.SizeTag(responseAddress) + protowire.SizeBytes(len(addr))
	}

	if size == 0 {
		return dst
	}

	dst = protowire.AppendTag(dst, anyValue, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))

	for _, addr := range addrs {
		dst = protowire.AppendTag(dst, responseAddress, protowire.BytesType)
		dst = protowire.AppendString(dst, addr)
	}

	return dst
}

// DecodeDiscovery decodes a message of the discovery channel: a request
// (request is true) or a response (addrs has 1 to 30 entries). It does not
// validate the addresses. It refuses a response with more entries before it
// copies any.
func DecodeDiscovery(msg []byte) (addrs []string, request bool, err error) {
	name, value, err := decodeAny(discoveryMessage, msg)
	if err != nil {
		return nil, false, err
	}

	switch string(name) {
	case requestName:
		err = noFields("discovery request", value)

		return nil, err == nil, err
	case responseName:
		addrs, err = decodeResponse(value)

		return addrs, false, err
	default:
		return nil, false, &DecodeError{Message: discoveryMessage, Field: "type URL", Reason: "not a discovery type"}
	}
}

// decodeResponse copies no address before all of them have been checked and counted.
func decodeResponse(value []byte) ([]string, error) {
	r := newFieldReader(responseMessage, value, responseAddress)

	var found [maxResponseAddrs][]byte

	count := 0

	err := r.each(func() (err error) {
		switch {
		case r.num != responseAddress:
			return r.unknown()
		case count == maxResponseAddrs:
			return r.fail("", "more than 30 addresses")
		}

		found[count], err = r.bytes("address")
		count++

		return err
	})
	if err == nil && count == 0 {
		err = r.fail("", "no address")
	}

	if err != nil {
		return nil, err
	}

	addrs := make([]string, count)
	for i := range addrs {
		addrs[i] = string(found[i])
	}

	return addrs, nil
}
