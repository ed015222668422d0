// Package forms writes the identity and the address of a node in the forms of both stacks: TM2
// IDs and ID@host:port, libp2p peer IDs and multiaddrs.
package forms

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxInput bounds a text that is parsed, in bytes.
const maxInput = 1024

// ErrUnknownForm is wrapped by the error about a text in none of the forms.
var ErrUnknownForm = errors.New("it is neither a TM2 ID, ID@host:port, host:port, a peer ID nor a multiaddr")

// Forms are the forms of one node. Those that do not follow from what is known are empty.
type Forms struct {
	Of         string   `json:"of"` // what was given
	ID         types.ID `json:"id,omitempty"`
	PeerID     string   `json:"peer_id,omitempty"`
	Address    string   `json:"address,omitempty"` // ID@host:port, or host:port
	Multiaddrs []string `json:"multiaddrs,omitempty"`
	// Note says what does not follow.
	Note string `json:"note,omitempty"`
}

// endpoint is a host and a port.
type endpoint struct {
	host string // IP or name
	port uint16
	udp  bool // only known over QUIC
}

// OfKey returns the forms of the node with a key, at host:port if that is not empty.
func OfKey(of string, key *types.NodeKey, at string) (Forms, error) {
	id, err := lp2p.PeerIDFromPublicKey(key.PrivKey.Public().(ed25519.PublicKey))
	if err != nil {
		return Forms{}, err
	}
	f := Forms{Of: of, ID: key.ID(), PeerID: id.String()}
	if at == "" {
		return f, nil
	}
	end, err := parseEndpoint(at)
	if err != nil {
		return Forms{}, fmt.Errorf("%q: %w", at, err)
	}

	return f, f.at(end)
}

// Parse reads any form.
func Parse(text string) (Forms, error) {
	f, err := parse(text)
	if err != nil {
		return Forms{}, fmt.Errorf("%q: %w", text, err)
	}
	f.Of = text

	return f, nil
}

func parse(text string) (f Forms, err error) {
	if len(text) > maxInput {
		return f, fmt.Errorf("it has more than %d bytes", maxInput)
	}
	if strings.HasPrefix(text, "/") {
		return parseMultiaddr(text)
	}
	if _, rest, found := strings.Cut(text, "://"); found {
		text = rest
	}
	idText, at, hasID := strings.Cut(text, "@")
	switch {
	case hasID:
		if f.ID, err = types.ParseID(idText); err != nil {
			return f, err
		}
	case strings.Contains(text, ":"):
		at = text
	default:
		return parseID(text)
	}
	end, err := parseEndpoint(at)
	if err != nil {
		return f, err
	}

	return f, f.at(end)
}

// parseID reads a TM2 ID or a peer ID.
func parseID(text string) (f Forms, err error) {
	id, idErr := types.ParseID(text)
	if idErr == nil {
		f.ID = id
		f.note()

		return f, nil
	}
	p, err := peer.Decode(text)
	if err != nil {
		if strings.HasPrefix(strings.ToLower(text), "g1") {
			return f, idErr
		}

		return f, ErrUnknownForm
	}

	return f, f.ofPeer(p)
}

// ofPeer fills in the IDs of a libp2p peer.
func (f *Forms) ofPeer(p peer.ID) (err error) {
	f.PeerID = p.String()
	f.ID, err = lp2p.TM2ID(p)

	return err
}

// at fills in the forms of the address.
func (f *Forms) at(e endpoint) error {
	if !isHost(e.host) {
		return fmt.Errorf("%q is neither an IP nor a host name", e.host)
	}
	f.Address = net.JoinHostPort(e.host, strconv.Itoa(int(e.port)))
	if f.ID != "" {
		f.Address = f.ID.String() + "@" + f.Address
	}
	protocol := "dns"
	if ip, err := netip.ParseAddr(e.host); err == nil {
		protocol = map[bool]string{true: "ip4", false: "ip6"}[ip.Is4()]
	}
	for _, transport := range []string{"tcp/%d", "udp/%d/quic-v1"} {
		if e.udp && strings.HasPrefix(transport, "tcp") {
			continue
		}
		text := fmt.Sprintf("/%s/%s/"+transport, protocol, e.host, e.port)
		if f.PeerID != "" {
			text += "/p2p/" + f.PeerID
		}
		m, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return err
		}
		f.Multiaddrs = append(f.Multiaddrs, m.String())
	}
	f.note()

	return nil
}

// isHost reports whether a text is an IP, or a host name: letters, digits, hyphens, underscores
// and dots.
func isHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r) {
			return false
		}
	}

	return text != ""
}

// note says that a TM2 ID is a hash, from which no key follows.
func (f *Forms) note() {
	if f.ID != "" && f.PeerID == "" {
		f.Note = "a peer ID does not follow from a TM2 ID: ask the node with tm2net probe"
	}
}

// parseEndpoint splits host:port.
func parseEndpoint(text string) (e endpoint, err error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return e, errors.New("it must have the form host:port")
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return e, fmt.Errorf("%q is not a port between 0 and 65535", port)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().WithZone("").String()
	}

	return endpoint{host: host, port: uint16(number)}, nil
}

// parseMultiaddr reads /ip4/…/tcp/…, with ip6, dns, dns4 or dns6, and with udp/…/quic-v1, and
// with or without /p2p/…; or /p2p/… alone.
func parseMultiaddr(text string) (f Forms, err error) {
	m, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		return f, err
	}
	transport, id := peer.SplitAddr(m)
	if id != "" {
		if err := f.ofPeer(id); err != nil {
			return f, err
		}
	}
	if len(transport) == 0 {
		return f, nil
	}
	e, err := endpointOf(transport)
	if err != nil {
		return f, err
	}

	return f, f.at(e)
}

func endpointOf(m multiaddr.Multiaddr) (e endpoint, err error) {
	unusable := fmt.Errorf("%s is not a host with a TCP port or QUIC, as /ip4/192.0.2.1/tcp/26656", m)
	if len(m) < 2 {
		return e, unusable
	}
	switch m[0].Code() {
	case multiaddr.P_IP4, multiaddr.P_IP6, multiaddr.P_DNS, multiaddr.P_DNS4, multiaddr.P_DNS6:
		e.host = m[0].Value()
	default:
		return e, unusable
	}
	switch {
	case len(m) == 2 && m[1].Code() == multiaddr.P_TCP:
	case len(m) == 3 && m[1].Code() == multiaddr.P_UDP && m[2].Code() == multiaddr.P_QUIC_V1:
		e.udp = true
	default:
		return e, unusable
	}
	port, err := strconv.ParseUint(m[1].Value(), 10, 16)
	e.port = uint16(port)

	return e, err
}
