// Package harness measures peer-to-peer layers. A program under test describes its stacks
// as [Project] values and calls [Main]. The harness has all parameters and does all timing,
// counting and reporting, so that figures of different projects are comparable. It needs
// Linux: it reads the CPU time of other processes from /proc.
//
// Each process of a program runs one case and prints its metrics as one JSON object:
//
//	tm2 -window 1s native/messages-64
package harness
