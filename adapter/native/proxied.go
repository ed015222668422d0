package native

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

// proxyHeaderBuffer holds a whole header of version 1, of up to 107 bytes, as its
// decoder requires.
const proxyHeaderBuffer = 256

// WithProxyProtocol sets the networks of the proxies in front of the listener. Each
// connection from there must begin with a header of the PROXY protocol, version 1 or 2,
// within HandshakeTimeout, and then counts as one from the address that the header
// names; a header without one, as of a proxy's own health check, leaves the proxy's. Any
// other connection is taken as it is: nobody else can name an address. A network that is
// not valid, or of IPv4-mapped IPv6 addresses, is reported by Listen and Dial: IPv4
// addresses are compared with IPv4 networks only.
func WithProxyProtocol(networks ...netip.Prefix) Option {
	return func(mt *MultiplexTransport) { mt.proxies = networks }
}

func (mt *MultiplexTransport) checkProxies() error {
	for _, network := range mt.proxies {
		if !network.IsValid() || network.Addr().Is4In6() {
			return fmt.Errorf("%w: WithProxyProtocol: %v is not an IPv4 or IPv6 network", compat.ErrInvalidOption, network)
		}
	}

	return nil
}

// fromProxy reports whether a connection must begin with a PROXY header.
func (mt *MultiplexTransport) fromProxy(conn net.Conn) bool {
	ip := netgroup.FromAddr(conn.RemoteAddr())

	return slices.ContainsFunc(mt.proxies, func(network netip.Prefix) bool { return network.Contains(ip) })
}

// admitProxied reads the PROXY header, at a place among the handshakes of the proxy's
// address, and then admits the connection as one from the client.
func (mt *MultiplexTransport) admitProxied(conn net.Conn) {
	p := mt.takePlace(conn)
	if p == nil {
		return
	}
	mt.wg.Go(func() {
		stop := context.AfterFunc(mt.ctx, func() { mt.closeConn(conn) })
		proxied, err := mt.readProxyHeader(&placedConn{Conn: conn, place: p})
		if p.Leave() {
			err = errEvicted
		}
		if !stop() || err != nil {
			mt.inbound.Event(slog.LevelInfo, netgroup.FromAddr(conn.RemoteAddr()), "inbound connection without a PROXY header",
				"no header", "address", conn.RemoteAddr(), "err", err)
			mt.closeConn(conn)

			return
		}
		mt.admit(proxied)
	})
}

func (mt *MultiplexTransport) readProxyHeader(conn *placedConn) (*proxiedConn, error) {
	if err := conn.SetReadDeadline(time.Now().Add(mt.timeout)); err != nil {
		return nil, err
	}
	c := &proxiedConn{Conn: conn.Conn, buf: bufio.NewReaderSize(conn, proxyHeaderBuffer), client: conn.RemoteAddr()}
	header, err := proxyproto.Read(c.buf)
	if err != nil {
		return nil, err
	}
	if header.Command.IsLocal() || header.TransportProtocol.IsUnspec() {
		return c, nil
	}
	client, ok := header.SourceAddr.(*net.TCPAddr)
	if !ok {
		return nil, fmt.Errorf("PROXY header names %v, which is no TCP address", header.SourceAddr)
	}
	c.client = client

	return c, nil
}

// proxiedConn is a connection from a proxy, after its PROXY header.
type proxiedConn struct {
	net.Conn

	buf    *bufio.Reader // has what came with the header
	client net.Addr
}

// Read implements net.Conn.
func (c *proxiedConn) Read(b []byte) (int, error) { return c.buf.Read(b) }

// RemoteAddr implements net.Conn by the client's address.
func (c *proxiedConn) RemoteAddr() net.Addr { return c.client }

// CloseWrite lets FlushStop end one side of the connection.
func (c *proxiedConn) CloseWrite() error { return closeWrite(c.Conn) }

// SyscallConn lets the secret connection set options of the socket.
func (c *proxiedConn) SyscallConn() (syscall.RawConn, error) { return syscallConn(c.Conn) }
