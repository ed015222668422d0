// Package netgroup tells what an IP address means: whether it is public, private or
// reserved, which host and which network it belongs to, and whether a node may dial
// it after hearing of it from a remote. Discovery, the switch and the bridge all ask
// here, so that none of them has a gap that the others have closed.
//
// The ranges are those of the IANA special-purpose address registries for IPv4 and
// IPv6 (RFC 6890). All functions may be called concurrently.
package netgroup
