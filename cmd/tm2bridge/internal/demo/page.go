package demo

import (
	"errors"
	"fmt"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
)

// serve shows the bridge at an address, and returns a function that ends that. With an empty
// address it does nothing. Nobody has control.
func (c *cluster) serve(address string) (end func() error, err error) {
	if address == "" {
		return func() error { return nil }, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--http %s: %w", address, err)
	}
	multiaddrs := c.bridge.Multiaddrs()
	native, libp2p := c.bridge.NativeAddress(), c.bridge.Libp2pAddress()
	listen := bridgehttp.Listen{Native: []string{native.String()}, Libp2p: []string{libp2p.String()}}
	for _, m := range multiaddrs {
		listen.Multiaddrs = append(listen.Multiaddrs, m.String())
	}
	server, err := bridgehttp.New(c.bridge, bridgehttp.WithLogger(c.logger), bridgehttp.WithListen(listen), bridgehttp.WithVersion("demo"))
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	c.page = "http://" + listener.Addr().String() + "/"
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	return func() error { return errors.Join(server.Close(), <-served) }, nil
}
