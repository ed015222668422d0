// Package scale measures one node with many peers: what they cost in memory and CPU, how fast
// many come in at once, and how long a broadcast takes to reach them all. The node, the hub, is
// a process of its own; its peers, the leaves, are shared out among several. Each leaf is a
// whole switch with an address of its own in a network namespace where every address is local.
package scale
