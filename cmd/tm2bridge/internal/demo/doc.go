// Package demo runs a small network in one process, over real loopback sockets:
// nodes that speak only the native TM2 protocol, nodes that speak only libp2p, and one
// bridge between the two groups. It counts every message sent and received, and so
// detects every loss, duplicate and reordering.
//
// # Traffic
//
// Every node runs a gossip reactor on four channels. Nodes originate numbered messages. A
// node that receives a message for the first time counts it as delivered and forwards it
// to its other peers. Each peer has a send queue, so Receive never blocks on Send. A
// window limits how many messages of an origin are under way, which bounds all queues.
//
// # Accounting
//
// A link is one channel of one peer in one direction. The frames on a link are numbered: a
// gap is a loss, a repeated number is a duplicate, and a number that arrives after it was
// counted as lost is a reordering. The bridge couples one native connection to one libp2p
// session and does not change the numbers. At the end each link carries a closing frame,
// which reveals the loss of the last frames. A frame with a wrong checksum is dropped, so
// its number counts as lost.
//
// End to end, every message must reach every other node. A message that is missing after
// the drain, which is limited in time, is lost.
package demo
