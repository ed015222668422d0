// Package simnet is a network of hosts in memory, for tests in virtual time
// (testing/synctest). It carries byte streams as TCP does: a dial takes one round
// trip, bytes arrive in order after the latency of the path, what is not read
// fills a window and then blocks the writer, deadlines work, and an end follows
// the bytes before it. A port where nobody listens refuses; a host that is not
// there, or has vanished, answers nothing.
//
// Bandwidth, loss and the bytes of packet headers are not modelled.
package simnet
