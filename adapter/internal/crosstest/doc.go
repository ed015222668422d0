// Package crosstest has two nodes dial each other at the same instant, again and
// again, and checks what the switch promises for that: whatever the interleaving,
// one connection is left, the same on both ends, dialed by the node with the lower
// ID. It is for the tests of every stack, and of mixed ones.
package crosstest
