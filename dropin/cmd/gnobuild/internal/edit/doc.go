// Package edit changes the source of a released gno, so that its node runs on the switch of
// package dropin. It changes the syntax tree and keeps no text of gno: each edit describes
// the code that it looks for, and fails with the place where the source differs.
package edit
