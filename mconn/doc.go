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
// A started connection has two goroutines. The writer sends packets, pings and
// pongs. The reader decodes packets and calls onReceive with one message at a
// time. It does not read while onReceive runs, so a slow receiver slows the peer
// down. [MConnection.Done] is closed when both goroutines have ended.
//
// # What differs from the original
//
// The package writes the original's bytes and accepts what the original accepts,
// with one exception: a complete message without payload ends the connection with
// [ErrEmptyMessage]. Reactors rely on messages not being empty, and no node sends
// an empty one.
//
// The timing differs in five ways. Pending packets are written at once instead
// of at the next tick of a flush timer, and those that arrive during a write go
// out in the next one. The rate limit is a token bucket with the original's burst of
// 100 ms instead of windows of 100 ms. The receive rate counts the bytes that came
// over the wire, not the payload of the frames (see [MConnConfig]). Pings that arrive
// within 50 ms share a pong. A write that is blocked ends with an error when the peer
// has sent nothing for PingInterval plus PongTimeout, since keep-alive cannot act
// while the writer is blocked. If the peer does send something, as a node with a busy
// reactor sends pings, the write waits, and so does the timeout of a pong.
package mconn
