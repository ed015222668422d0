// Package discovery finds peers for a switch on adapter/lp2p by a distributed hash
// table: Kademlia as in libp2p's kad-dht specification
// (github.com/libp2p/specs/tree/master/kad-dht), without values and providers.
// docs/discovery-dht.md says what it tells, what it believes, and with which limits.
//
// A [Discovery] is a reactor without channels: the switch starts and stops it, and
// tells it of peers. It enters the DHT through seeds and persistent peers, given as
// plain TM2 addresses. While the switch has outbound slots open it looks up random
// keys, and hands those who answer to Switch.DialPeers. It looks for peers that are
// not found at their addresses any more.
//
// # Addresses
//
// Where peers of the switch are is in the address book of the transport
// (lp2p.WithAddrBook), which discovery saves if it has a file. A node that has no bootstrap
// peer left enters the DHT through those.
//
// # Networks
//
// The protocol is /tm2/<network>/kad/1.0.0. Whoever speaks it without being of the
// network is found out by its NodeInfo, or by the session handshake (docs/sessions.md),
// and then left out for an hour.
//
// # Privacy
//
// Others are told only of peers that offer to be found, as servers of the DHT do,
// and never of private ones, whatever they do. A private node (lp2p.WithPrivateNode)
// announces no address, and asks the DHT without taking part in it.
//
// # Goroutines
//
// Between Start and Stop there are four of its own, for walks, for searches, for events,
// and to save the address book, one for the lookup that a walk waits for, up to 16 that
// ask peers for their network, and five of kad-dht. Stop waits for these, for queries, and
// for the streams that are served. What kad-dht starts for single queries, and for the
// check of a new member, ends then without being waited for: it only waits for queries.
package discovery
