// Package mconn carries many byte channels over one net.Conn, byte-compatible
// with TM2's MConnection (docs/wire.md §5). In production the net.Conn is a
// secretconn.SecretConnection; the package itself neither encrypts nor
// authenticates.
//
// A message is cut into packets of MConnConfig.MaxPacketMsgPayloadSize bytes.
// Before every packet the scheduler picks the channel that has sent least for
// its priority, so a short urgent message overtakes bulk traffic. Messages of one
// channel arrive in order and exactly once, or the connection ends.
//
// # Goroutines
//
// A started connection has two: a writer, which also keeps the connection alive,
// and a reader, which is the delivery goroutine: it runs onReceive, one message
// at a time. While onReceive blocks nothing is read, which pushes back on the
// peer. [MConnection.Done] tells when both have ended.
//
// # What differs from the original
//
// Bytes and verdicts are the original's, with one exception: a complete message
// without payload ends the connection with [ErrEmptyMessage], because reactors
// are promised messages that are not empty, and no node sends one.
//
// Pace differs. Nothing waits for a flush timer: what is pending is written at
// once, and what gathers during a write goes out in the next one. The rate limit
// is a token bucket with the original's burst of 100 ms instead of windows of
// 100 ms. Pings that come in a burst share pongs by time, not by chance. A peer
// that takes no byte for the time in which keep-alive would have dropped it is
// dropped although the writer is blocked.
package mconn
