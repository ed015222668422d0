// Package compattest helps to test code that is written against package compat.
//
// A Network is an in-memory stack. Its Transports behave as a real one does: a
// dial waits for the other side to accept, either side may refuse the other,
// messages are buffered and arrive in order within a channel, a sender whose
// receiver is slow has to wait, and closing either end ends both.
//
//	net := compattest.NewNetwork()
//	a, b := net.NewTransport(0x20), net.NewTransport(0x20)
//	defer a.Close()
//	defer b.Close()
package compattest
