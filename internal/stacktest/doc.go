// Package stacktest has what the tests of both stacks need around a node: ports, servers that
// are no node, a proxy, and a log.
package stacktest
