// Package compattest tests implementations of package compat.
//
// TestTransport and TestSwitch state the promises of package compat as tests, in the
// manner of golang.org/x/net/nettest. The caller passes a function that makes a switch
// and the promises that are not to be tested, each with the reason:
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
// Each promise is a subtest, which can be run by its name:
//
//	go test -run 'TestSwitchConformance/Receive/NoneAfterRemovePeer'
//
// TestCrossedDials has two nodes dial each other in as many rounds as the caller wants, with
// the same function.
//
// An exempted promise is skipped with the reason. An exemption that names no promise fails
// the suite. The suites do not check for leaked goroutines; the caller does, with
// goleak.VerifyTestMain. Package memory is a stack without sockets for such tests.
package compattest
