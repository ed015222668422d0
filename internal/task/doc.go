// Package task has what goroutines need: an owner that waits for them, a sleep that ends
// with a context, and a signal that is never lost and never blocks.
package task
