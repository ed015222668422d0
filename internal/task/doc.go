// Package task has what goroutines need: an owner that waits for them, waits that end in
// time, and a signal that is never lost and never blocks.
package task
