// Package gnoland tests networks of real gnoland processes, whose homes are made by
// gnoland's own commands: stock ones, and ones built by dropin/cmd/gnobuild.
//
// The tests take about an hour on two cores and need the C compiler that gno needs, so they
// run only with the flag -full:
//
//	GOWORK=off go -C interop-tests/gnoland test -timeout 2h -v -full -report "$PWD/report.md"
//
// Other flags: -gno selects the release, -bin keeps the programs in a folder for the next
// run, and -logs keeps the logs of the nodes.
package gnoland
