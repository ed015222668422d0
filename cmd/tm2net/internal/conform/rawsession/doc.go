// Package rawsession is a libp2p peer that speaks TM2 sessions as a conformance case says, well
// formed or not. It is written from docs/sessions.md on go-libp2p alone, and shares nothing with
// the implementation that it may judge.
package rawsession
