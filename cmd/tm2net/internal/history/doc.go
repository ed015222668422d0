// Package history keeps the summaries of crawls in a file, one JSON object a line, and draws
// from it how a network moves from one stack to the other: as a table, and as an SVG.
package history
