// Package simnet is an in-memory network of hosts for tests in virtual time
// (testing/synctest). Its connections behave like TCP: a dial takes one round trip, bytes
// arrive in order after the latency of the path, unread data fills a window and then blocks
// the writer, deadlines work, and the end of a stream arrives after its data. A port without
// a listener refuses connections. A host that does not exist or has vanished never answers.
//
// Bandwidth, loss and the bytes of packet headers are not modelled.
package simnet
