// Command bench compares this project with the ones it can take the place of,
// and with what they are built on: it builds a program for each project, runs the
// same cases on all of them in turns, and prints the ratios of that one run as a
// Markdown table.
//
//	go run ./interop-tests/bench
//
// README.md tells what is measured and how.
package main
