package compat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
)

// A machine without an uplink has no route to any address. One without IPv6 has none to an IPv6
// address, and whoever answered at another address counts. Where this machine has a route, a router
// has said that there is none.
func TestNoRouteIsToldFromAPeerThatIsGone(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	netnstest.IP(t, "route del local 0.0.0.0/0 dev lo") // what is left is 127.0.0.0/8
	from := func(source, addr net.Addr) error {
		return &net.OpError{Op: "dial", Source: source, Addr: addr, Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}
	}
	over := func(addr net.Addr) error { return from(nil, addr) }
	to := func(ip string) error { return over(&net.TCPAddr{IP: net.ParseIP(ip)}) }
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{to("9.8.7.6"), true},
		{dialing(syscall.ENETUNREACH), true},
		{errors.Join(to("9.8.7.6"), to("2606:4700::1")), true},
		{to("2606:4700::1"), false},
		{over(&net.UDPAddr{IP: net.ParseIP("9.8.7.6")}), true},
		{over(&net.UDPAddr{IP: net.ParseIP("2606:4700::1")}), false},
		{errors.Join(to("2606:4700::1"), dialing(syscall.ECONNREFUSED)), false},
		{errors.Join(to("9.8.7.6"), dialing(syscall.ECONNREFUSED)), false},
		{errors.Join(to("9.8.7.6"), &WrongIDError{}), false},
		{errors.Join(to("9.8.7.6"), context.DeadlineExceeded), false},
		{dialing(syscall.EHOSTUNREACH), false},
		{to("127.0.0.9"), false},
		{over(&net.UDPAddr{IP: net.ParseIP("127.0.0.9")}), false},
		{errors.Join(to("127.0.0.9"), to("2606:4700::1")), false},
		{errors.Join(to("127.0.0.9"), to("9.8.7.6")), true},
		{from(&net.TCPAddr{IP: net.ParseIP("127.0.0.1"), Port: 26656}, &net.TCPAddr{IP: net.ParseIP("127.0.0.9")}), false},
		{from(&net.TCPAddr{IP: net.ParseIP("9.8.7.5")}, &net.TCPAddr{IP: net.ParseIP("127.0.0.9")}), true},
		{from(&net.TCPAddr{IP: net.IPv6zero}, &net.TCPAddr{IP: net.ParseIP("127.0.0.9")}), false},
	} {
		require.Equal(t, c.want, IsNoRoute(fmt.Errorf("unable to dial: %w", c.err)), "%v", c.err)
	}
}
