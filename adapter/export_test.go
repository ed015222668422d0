package adapter

import "net"

// CountLooks tells of each look of the switch at the network interfaces that found their addresses.
// It is called before Start.
func CountLooks(sw *MultiplexSwitch) <-chan struct{} {
	looks := make(chan struct{}, 1)
	sw.interfaces = func() ([]net.Addr, error) {
		addrs, err := net.InterfaceAddrs()
		select {
		case looks <- struct{}{}:
		default: // one is told already
		}

		return addrs, err
	}

	return looks
}
