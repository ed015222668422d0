package native

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/proxied"
)

// WithProxyProtocol sets the networks of the proxies in front of the listener. Each
// connection from there must begin with a header of the PROXY protocol, version 1 or 2,
// within HandshakeTimeout, and then counts as one from the address that the header
// names; a header without one, as of a proxy's own health check, leaves the proxy's, whose
// connections the switch does not count (compat.ConnAdmission). Any other connection is taken
// as it is: nobody else can name an address. A network that is
// not valid, or of IPv4-mapped IPv6 addresses, is reported by Listen and Dial: IPv4
// addresses are compared with IPv4 networks only.
func WithProxyProtocol(networks ...netip.Prefix) Option {
	return func(mt *MultiplexTransport) { mt.proxies = networks }
}

func (mt *MultiplexTransport) checkProxies() error {
	if err := mt.proxies.Validate(); err != nil {
		return fmt.Errorf("%w: WithProxyProtocol: %w", compat.ErrInvalidOption, err)
	}

	return nil
}

// admitProxied reads the PROXY header, at a place among the handshakes of the proxy's
// address, and then admits the connection as one from the client.
func (mt *MultiplexTransport) admitProxied(conn net.Conn) {
	p := mt.takePlace(conn)
	if p == nil {
		return
	}
	mt.wg.Go(func() {
		client, err := proxied.Accept(mt.ctx, &placedConn{Conn: conn, place: p}, mt.timeout)
		msg, why := "inbound connection without a PROXY header", "no header"
		if p.Leave() {
			err = errEvicted
			msg, why = "inbound handshake failed", failedStep(err, false)
		}
		if err != nil {
			mt.inbound.Event(slog.LevelInfo, netgroup.FromAddr(conn.RemoteAddr()), msg, why, "address", conn.RemoteAddr(), "err", err)
			mt.closeConn(conn)

			return
		}
		mt.admit(client)
	})
}
