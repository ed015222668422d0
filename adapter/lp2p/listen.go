package lp2p

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// listenAttempts is how many ports that are free at one of the listeners' addresses are
// tried at the others.
const listenAttempts = 16

// openListeners opens the listeners and returns their port, which the system chooses if the
// address has port 0. It is the same for both families of a wildcard, and for UDP.
func (t *Transport) openListeners(addr types.NetAddress) (port uint16, err error) {
	s, ok := t.host.Network().(*swarm.Swarm)
	if !ok {
		return 0, fmt.Errorf("%T has no listeners", t.host.Network())
	}
	for range listenAttempts {
		var families []string
		if port, families, err = t.tryListeners(s, addr); err == nil {
			addr.Port = port
			t.logger.Info("listening for libp2p connections", "address", addr.DialString(),
				"families", strings.Join(families, " and "), "quic", t.opts.quic != quicOff)

			return port, nil
		}
		s.ListenClose(slices.DeleteFunc(s.ListenAddresses(), isCircuit)...)
		if addr.Port != 0 {
			break
		}
	}

	return 0, err
}

// tryListeners opens the listeners at one port, and names the families of IP addresses that
// they serve.
func (t *Transport) tryListeners(s *swarm.Swarm, addr types.NetAddress) (port uint16, families []string, err error) {
	var missing error // a family that this machine does not have
	port = addr.Port
	for _, ip := range listenIPs(addr.IP) {
		tcp, err := p2paddr.TCPMultiaddr(ip, port)
		if err != nil {
			return 0, nil, err
		}
		err = s.AddListenAddr(tcp)
		if addr.IP.IsUnspecified() && isNoFamily(err) {
			missing = errors.Join(missing, err)

			continue
		}
		if err != nil {
			return 0, nil, err
		}
		if port, err = t.listeningPort(); err != nil {
			return 0, nil, err
		}
		if err := t.listenQUIC(s, ip, port); err != nil {
			return 0, nil, fmt.Errorf("QUIC: %w", err)
		}
		families = append(families, familyOf(ip))
	}
	if families == nil {
		return 0, nil, missing
	}

	return port, families, nil
}

// listenIPs returns where to listen for the IP: at all addresses of both families for either
// unspecified one, as the native stack does.
func listenIPs(ip net.IP) []net.IP {
	if ip.IsUnspecified() {
		return []net.IP{net.IPv4zero, net.IPv6unspecified}
	}

	return []net.IP{ip}
}

func familyOf(ip net.IP) string {
	if ip.To4() != nil {
		return "IPv4"
	}

	return "IPv6"
}

// isNoFamily reports whether a listener failed because the machine has no addresses of its
// family.
func isNoFamily(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPROTONOSUPPORT) ||
		errors.Is(err, syscall.EADDRNOTAVAIL)
}

func (t *Transport) listenQUIC(s *swarm.Swarm, ip net.IP, port uint16) error {
	if t.opts.quic == quicOff {
		return nil
	}
	quic, err := p2paddr.QUICMultiaddr(ip, port)
	if err != nil {
		return err
	}

	return s.AddListenAddr(quic)
}

// listeningPort returns the port of the TCP listeners.
func (t *Transport) listeningPort() (uint16, error) {
	for _, a := range t.host.Network().ListenAddresses() {
		if _, port, ok := p2paddr.Endpoint(a); ok && !p2paddr.IsUDP(a) {
			return port, nil
		}
	}

	return 0, errors.New("listener has no address")
}
