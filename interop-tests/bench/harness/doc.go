// Package harness measures peer-to-peer layers. A program under test describes
// its stacks as [Project] values and calls [Main]; all parameters, timing,
// counting and reporting are here, so that figures of different projects can be
// compared. It needs Linux, whose /proc tells what other processes use.
//
// A program runs one case a process and prints its metrics as one JSON object:
//
//	tm2 -window 1s native/messages-64
package harness
