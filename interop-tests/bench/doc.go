// Command bench compares this project with the projects that it can replace, and with the
// libraries they are built on. It builds a program for each project, runs the same cases on
// all of them in turn, and prints the ratios of that run as a Markdown table.
//
//	go run ./interop-tests/bench
//
// README.md describes the measurements.
package main
