// Package conformance tests tm2net conform: released nodes of gno and this project's own nodes,
// each as a process, do what the known deviations of their version say and nothing else, and nodes
// of this project from which one check was taken are found.
//
//	go test ./interop-tests/conformance                                         # what CI runs
//	CONFORM_FULL=1 go test -timeout 1h -v ./interop-tests/conformance           # all versions, all cases, all faults
package conformance
