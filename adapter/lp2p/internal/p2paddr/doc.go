// Package p2paddr converts between TM2's IDs and addresses and those of libp2p: peer IDs
// and multiaddrs.
package p2paddr
