// Package compattest helps to test code that is written against package compat,
// and implementations of it.
//
// # An in-memory stack
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
//
// # Conformance suites
//
// TestTransport and TestSwitch state the promises of package compat as tests of
// any implementation, in the manner of golang.org/x/net/nettest. Whoever has a
// switch says how one is made, and where it is known to fall short:
//
//	func TestSwitchConformance(t *testing.T) {
//		compattest.TestSwitch(t, func(*testing.T) compattest.MakeSwitch { return makeSwitch },
//			compattest.Exemption{Promise: "Limits/PersistentInboundExempt", Why: "persistent peers take slots"})
//	}
//
//	func makeSwitch(t *testing.T, spec compattest.SwitchSpec) (compattest.SwitchNode, types.NetAddress, func()) {
//		transport := newTransport(spec.Key, spec.Info)
//		require.NoError(t, transport.Listen(*spec.Info.NetAddress))
//		sw := newSwitch(transport, spec)
//		release := sync.OnceFunc(func() {
//			_ = sw.Stop() // may be stopped, or not started at all
//			_ = transport.Close()
//		})
//		t.Cleanup(release)
//
//		return sw, transport.NetAddress(), release
//	}
//
// Each promise is a subtest, so that one of them is run by its name:
//
//	go test -run 'TestSwitchConformance/Receive/NoneAfterRemovePeer'
//
// An exempted promise is skipped with the reason; an exemption that names no
// promise fails the suite. The suites do not look for leaks: the package that
// runs them does, by goleak.VerifyTestMain.
package compattest
