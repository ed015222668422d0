// Package control encodes and decodes the messages of a session's control stream
// (docs/sessions.md): Hello, Accept, Reject and Goodbye, and the delegation in a Hello.
// Decoders check each length before they allocate.
package control
