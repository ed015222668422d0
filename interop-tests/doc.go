// Package interoptests proves the module against legacy nodes: real peers of
// github.com/gnolang/gno, each in a process of its own, over TCP on the loopback
// interface. It is a module of its own because no user of the module needs it.
//
//	go test -race -count=1 ./...
//
// The peers are of several versions, see package legacy; a test against each
// has a subtest named for it, as TestNativeDialsGno/v1.4.0. Their programs are
// modules below peers/, one for each version, which are built by the tests,
// outside of the workspace and without the race detector: they are the foreign
// side. Two more modules are what the programs share: peers/common does not know
// gno, peers/gnonode is compiled against the version that the program's module
// requires. In this process runs gno v1.7.1's own switch, to which the conformance
// suites of compat/compattest are put.
//
// The result of a run is not to be cached (-count=1), because the go command does
// not see that it depends on the programs.
//
// A further version is a copy of the newest folder in peers/ that requires it,
// and a line in package legacy.
package interoptests
