//go:build !gno_no_hostname

package dropin

import gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

// setHostname sets the host name of an address, which gno has since v1.5.0.
func setHostname(addr *gnotypes.NetAddress, name string) { addr.Hostname = name }

// hostname returns the host name of an address, or "".
func hostname(addr *gnotypes.NetAddress) string { return addr.Hostname }
