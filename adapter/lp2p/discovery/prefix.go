package discovery

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// maxNetworkName bounds the escaped name of a network, in bytes. libp2p takes
// protocol IDs of some hundred bytes; a chain ID has some ten.
const maxNetworkName = 128

// errNoNetwork is returned for a node that does not say which network it is in.
var errNoNetwork = errors.New("node info names no network")

// protocolPrefix returns the prefix of the network's DHT protocols. The name is
// escaped as a segment of a URL path (RFC 3986 §2.1), so that no two names share a
// prefix, and none reaches into the path of another protocol.
func protocolPrefix(network string) (protocol.ID, error) {
	if network == "" {
		return "", errNoNetwork
	}
	name := url.PathEscape(network)
	if len(name) > maxNetworkName {
		return "", fmt.Errorf("name of the network has %d bytes when escaped, limit %d", len(name), maxNetworkName)
	}

	return protocol.ID("/tm2/" + name), nil
}
