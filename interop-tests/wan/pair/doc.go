// Package pair measures two nodes, each a process of its own, at two places of a box: how fast
// messages of 64 KiB pass from one to the other, and how long an urgent message takes
// meanwhile. The nodes run the switch of a stack, or plain TCP.
package pair
