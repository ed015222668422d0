// Package legacy runs legacy peers for tests: it builds one program for each
// version of gno, once for a test binary, and starts, drives and ends its
// processes.
//
//	func TestMain(m *testing.M) {
//		remove, err := legacy.Build()
//		...
//	}
//
//	func TestSomething(t *testing.T) {
//		peer := legacy.Start(t, legacy.Options{Version: legacy.V1_4_0})
//		...
//	}
//
// The programs are modules of their own under peers/: each requires one version
// of gno and shares all but a few lines with the others.
package legacy
