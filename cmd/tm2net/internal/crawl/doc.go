// Package crawl walks a network of TM2 nodes from seeds and tells who is there. Each node that
// answers is asked for others, by peer exchange (docs/discovery.md) and by the DHT
// (docs/discovery-dht.md), and those are visited in turn.
//
// A crawl is polite: it visits each address once, a host once at a time and with a bounded
// number of addresses, and all hosts at a rate. A [Memory] makes later crawls pass over
// addresses where nobody answered, for a time that grows.
//
// What a node tells of others is hearsay: a node counts as there once it has proved its key.
package crawl
