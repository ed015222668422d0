// Package control has the messages of a session's control stream (docs/sessions.md):
// Hello, Accept, Reject and Goodbye, and the delegation that a Hello may carry. What is
// decoded is bounded before it is allocated.
package control
