// Package interoptests tests the project against legacy nodes: real peers of
// github.com/gnolang/gno, each in its own process, over loopback TCP. It is a separate
// module, so that users of the project do not get its dependencies.
//
//	go test -race -count=1 ./...
//
// The peers have several versions (see package legacy). A test has a subtest for each
// version, such as TestNativeDialsGno/v1.4.0. Each program below peers/ is a module that
// requires one version. The tests build the programs outside the workspace and without the
// race detector, as foreign nodes are. The programs share two more modules: peers/common
// does not depend on gno; peers/gnonode is compiled against the version that the program's
// module requires. The conformance suites of compat/compattest also run against gno
// v1.7.1's own switch, in the test process.
//
// Run the tests with -count=1: the go command does not know that the results depend on the
// programs.
//
// To add a version, copy the newest folder in peers/, change the version that it requires,
// and add a line in package legacy.
package interoptests
