// Package memory implements compat.Transport within one process and without sockets. It
// serves tests in simulated time, and tests of the conformance suites.
//
//	net := memory.NewNetwork()
//	a, b := net.NewTransport(0x20), net.NewTransport(0x20)
//	defer a.Close()
//	defer b.Close()
//
// A Transport behaves like that of a real stack: Dial waits until the remote accepts,
// either side may refuse the other, each channel delivers its messages in order, a sender
// blocks while the queue of its receiver is full, and closing one end ends both.
package memory
