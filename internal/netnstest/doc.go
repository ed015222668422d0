// Package netnstest runs a test in a network namespace of its own in which every IP
// address is local, so that one process can dial from thousands of them, and in which it can
// have small disks of its own. It needs Linux, user, network and mount namespaces, and the
// program ip (iproute2); no privileges.
package netnstest
