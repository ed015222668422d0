package mconn

import (
	"errors"
	"fmt"
	"time"
)

// maxPayloadSize bounds MaxPacketMsgPayloadSize, in bytes: a packet is buffered
// as a whole before it is decoded.
const maxPayloadSize = 1 << 20

// ErrInvalidConfig is wrapped by the errors of [MConnConfig.Validate].
var ErrInvalidConfig = errors.New("mconn: invalid config")

// MConnConfig sets the limits of a connection. Its keys are those of a TM2
// node's p2p section.
type MConnConfig struct {
	// SendRate and RecvRate bound the traffic of each direction, in bytes a
	// second; 0 means no limit. Receiving is slowed by not reading.
	SendRate int64 `toml:"send_rate"`
	RecvRate int64 `toml:"recv_rate"`

	// MaxPacketMsgPayloadSize is the most payload bytes in one packet, sent or
	// received, from 1 to 1 MiB. Peers with the default drop a connection that
	// sends them more than 1024.
	MaxPacketMsgPayloadSize int `toml:"max_packet_msg_payload_size"`

	// FlushThrottle is the longest time packets wait to be written together.
	// Only SendRate makes them wait: without it nothing is ever held back.
	FlushThrottle time.Duration `toml:"flush_throttle"`

	// PingInterval is the time between pings. PongTimeout, which must be
	// shorter, is how long an answer may take; time this end spent not reading
	// is not counted.
	PingInterval time.Duration `toml:"ping_interval"`
	PongTimeout  time.Duration `toml:"pong_timeout"`

	// RecvAssemblyTimeout is how long a peer may take from the first to the last
	// piece of a message; 0 means no limit.
	RecvAssemblyTimeout time.Duration `toml:"recv_assembly_timeout"`

	// MaxRecvBufferBytes bounds the payload of all unfinished messages from the
	// peer, and MaxSendBufferBytes that of all messages accepted and not yet
	// written, in bytes; 0 means no limit. A message above MaxSendBufferBytes
	// cannot be sent.
	MaxRecvBufferBytes int `toml:"max_recv_buffer_bytes"`
	MaxSendBufferBytes int `toml:"max_send_buffer_bytes"`
}

// DefaultMConnConfig returns what a TM2 v1.7.1 node uses when its configuration
// says nothing (docs/wire.md §5).
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

// Validate reports the first field a connection cannot work with. The error
// wraps [ErrInvalidConfig].
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
