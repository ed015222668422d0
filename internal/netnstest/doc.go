// Package netnstest runs a test in a network namespace of its own in which every IP
// address is local, so that one process can dial from thousands of them. It needs Linux,
// user and network namespaces, and the program ip (iproute2); no privileges.
package netnstest
