// Package legacy runs legacy peers for tests. It builds one program for each version of gno,
// and starts, controls and stops its processes.
//
//	func TestMain(m *testing.M) {
//		err := legacy.Build()
//		...
//	}
//
//	func TestSomething(t *testing.T) {
//		peer := legacy.Start(t, legacy.Options{Version: legacy.V1_4_0})
//		...
//	}
//
// Each program is a module under peers/ that requires one version of gno. The programs share
// all but a few lines.
package legacy
