// Package crosstest lets two nodes dial each other at the same instant, many times, and
// checks what the switch promises for that: one connection is left, the same on both ends,
// dialed by the node with the lower ID. The tests of every stack use it.
package crosstest
