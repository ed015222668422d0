//go:build gno_no_hostname

package dropin

import gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

// setHostname does nothing: an address of gno up to v1.4.0 has only an IP. The switch itself
// keeps the names of the peers in its config, and looks them up at each dial.
func setHostname(*gnotypes.NetAddress, string) {}

func hostname(*gnotypes.NetAddress) string { return "" }
