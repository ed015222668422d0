// Package memory is a Transport that connects nodes within one process, without
// sockets. The conformance suites are tried on it, and tests in simulated time use it.
package memory
