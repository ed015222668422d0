package mconn

import (
	"errors"
	"fmt"
	"time"
)

// maxPayloadSize is the largest MaxPacketMsgPayloadSize, in bytes. It bounds the
// read buffer, which holds a whole packet before it is decoded.
const maxPayloadSize = 1 << 20

// ErrInvalidConfig is wrapped by the errors of [MConnConfig.Validate].
var ErrInvalidConfig = errors.New("mconn: invalid config")

// MConnConfig sets the limits of a connection. Its TOML keys are those of the
// p2p section of a TM2 node's configuration.
type MConnConfig struct {
	// SendRate and RecvRate limit the traffic of each direction, in bytes per
	// second; 0 means no limit. SendRate counts packets, as TM2 does, but a frame as
	// full, if the net.Conn has a method FrameSize() int. RecvRate works by pausing reads,
	// and counts what the peer sends over the wire: if the net.Conn has a method
	// BytesRead() int64, the bytes that this counts. A SecretConnection has both.
	// RecvRate allows a thirty-second more, which is above what sealing adds: a peer that
	// sends at the same rate is never the faster one, so nothing piles up in between.
	SendRate int64 `toml:"send_rate"`
	RecvRate int64 `toml:"recv_rate"`

	// MaxPacketMsgPayloadSize is the most payload bytes in one packet, sent or
	// received, from 1 to 1 MiB. A peer with the default of 1024 drops the
	// connection when it receives a larger packet.
	MaxPacketMsgPayloadSize int `toml:"max_packet_msg_payload_size"`

	// FlushThrottle is the longest time for which SendRate holds packets back to
	// write them together. Without a SendRate no packet waits.
	FlushThrottle time.Duration `toml:"flush_throttle"`

	// PingInterval is the time between pings. PongTimeout is how long the answer
	// may take and must be shorter. Time in which this end did not read, because
	// onReceive was running, does not count.
	PingInterval time.Duration `toml:"ping_interval"`
	PongTimeout  time.Duration `toml:"pong_timeout"`

	// RecvAssemblyTimeout is how long a peer may take from the first to the last
	// packet of a message; 0 means no limit.
	RecvAssemblyTimeout time.Duration `toml:"recv_assembly_timeout"`

	// MaxRecvBufferBytes limits the payload of all unfinished messages from the
	// peer, in bytes; 0 means no limit. From 8 MiB on, what is held for them is at
	// most 1.25 times as much, also while one of them is delivered. For the moment in
	// which a message of many packets is put together, it is held twice.
	MaxRecvBufferBytes int `toml:"max_recv_buffer_bytes"`

	// MaxSendBufferBytes limits the payload of all messages that were accepted
	// and not yet written, in bytes; 0 means no limit. A larger message cannot be
	// sent.
	MaxSendBufferBytes int `toml:"max_send_buffer_bytes"`
}

// DefaultMConnConfig returns the defaults of a TM2 v1.7.1 node (docs/wire.md §5).
func DefaultMConnConfig() MConnConfig {
	return MConnConfig{
		SendRate:                5_120_000,
		RecvRate:                5_120_000,
		MaxPacketMsgPayloadSize: 1024,
		FlushThrottle:           100 * time.Millisecond,
		PingInterval:            60 * time.Second,
		PongTimeout:             45 * time.Second,
		RecvAssemblyTimeout:     30 * time.Second,
		MaxRecvBufferBytes:      20 << 20,
		MaxSendBufferBytes:      20 << 20,
	}
}

// Validate returns an error that wraps [ErrInvalidConfig] and names the first
// invalid field.
func (c MConnConfig) Validate() error {
	switch {
	case c.SendRate < 0:
		return invalid("SendRate", c.SendRate, "negative")
	case c.RecvRate < 0:
		return invalid("RecvRate", c.RecvRate, "negative")
	case c.MaxPacketMsgPayloadSize < 1 || c.MaxPacketMsgPayloadSize > maxPayloadSize:
		return invalid("MaxPacketMsgPayloadSize", c.MaxPacketMsgPayloadSize, fmt.Sprintf("outside 1..%d", maxPayloadSize))
	case c.FlushThrottle < 0:
		return invalid("FlushThrottle", c.FlushThrottle, "negative")
	case c.PingInterval <= 0:
		return invalid("PingInterval", c.PingInterval, "not positive")
	case c.PongTimeout <= 0:
		return invalid("PongTimeout", c.PongTimeout, "not positive")
	case c.PongTimeout >= c.PingInterval:
		return invalid("PongTimeout", c.PongTimeout, fmt.Sprintf("not below PingInterval %v", c.PingInterval))
	case c.RecvAssemblyTimeout < 0:
		return invalid("RecvAssemblyTimeout", c.RecvAssemblyTimeout, "negative")
	case c.MaxRecvBufferBytes < 0:
		return invalid("MaxRecvBufferBytes", c.MaxRecvBufferBytes, "negative")
	case c.MaxSendBufferBytes < 0:
		return invalid("MaxSendBufferBytes", c.MaxSendBufferBytes, "negative")
	default:
		return nil
	}
}

func invalid(field string, value any, reason string) error {
	return fmt.Errorf("%w: %s %v is %s", ErrInvalidConfig, field, value, reason)
}
