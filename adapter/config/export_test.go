package config

import (
	"net"
	"testing"
)

// SetInterfaces gives the machine these IPs until the test ends.
func SetInterfaces(t *testing.T, ips ...string) {
	t.Helper()
	former := interfaceAddrs
	interfaceAddrs = func() (addrs []net.Addr, err error) {
		for _, ip := range ips {
			addrs = append(addrs, &net.IPNet{IP: net.ParseIP(ip), Mask: net.CIDRMask(24, 32)})
		}

		return addrs, nil
	}
	t.Cleanup(func() { interfaceAddrs = former })
}
