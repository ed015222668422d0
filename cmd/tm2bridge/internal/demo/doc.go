// Package demo runs a small network in one process, over real loopback sockets:
// nodes that speak only the native TM2 protocol, nodes that speak only libp2p,
// and one bridge between the two groups. It counts every message that is sent
// and every one that arrives, so that a loss, a duplicate or a swapped pair
// anywhere on the way shows.
//
// # Traffic
//
// Every node runs a gossip reactor on four channels. A node originates numbered
// messages; a node that sees one for the first time counts it as delivered and
// forwards it to its other peers. Receive never waits for Send: each peer has a
// queue of its own. An origin has a window of messages that are still under way
// somewhere, which bounds all queues.
//
// # Accounting
//
// On each link, which is one channel of one peer in one direction, frames are
// numbered. A gap is a loss, a repeated number a duplicate, and a number that
// was counted as lost and arrives late a reordering. The bridge couples one
// native connection to one libp2p session, so the numbers pass through it as
// they are. At the end each link carries a closing frame, so that a loss of the
// very last frames shows too. A frame with a wrong checksum is dropped, and
// its missing number counts as a loss.
//
// From end to end, every message must reach every other node: what is missing
// after a bounded drain is lost.
package demo
