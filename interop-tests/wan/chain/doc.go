// Package chain runs chains of real TM2 validators at the places of a box, each in a process of
// its own: gno v1.7.1's consensus, mempool and block sync on the switch of a stack. It measures
// how fast blocks are agreed on, how fast a node that joins gets the blocks, and how long the
// chain takes to be as before when the network was cut.
package chain
