package config

import (
	"errors"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

const (
	// MinBufferBytes is the smallest buffer that TM2 accepts: one block of the largest
	// size with its framing (docs/wire.md §5.4).
	MinBufferBytes   = 8<<20 + 64<<10
	maxPayloadSize   = 1 << 20     // bytes; far above what any node accepts
	maxFlushThrottle = time.Minute // far above what makes sense
)

// FieldError says that a node cannot use a value of its configuration.
type FieldError struct {
	Key    string // section and name, as "[p2p].laddr"
	Value  any    // of a list only the entry at fault
	Reason string
}

// Error names the key, its value and what is wrong with it.
func (e *FieldError) Error() string {
	if s, ok := e.Value.(string); ok {
		return fmt.Sprintf("%s = %q: %s", e.Key, s, e.Reason)
	}

	return fmt.Sprintf("%s = %v: %s", e.Key, e.Value, e.Reason)
}

// fullName is how errors name a key of the section.
func fullName(key string) string { return "[p2p]." + key }

// ValidateBasic returns a *FieldError for the first value that a node cannot use. It
// resolves no names. Like TM2 it leaves the lists of peers to SwitchOptions, since a node
// can do without an entry.
func (c *P2PConfig) ValidateBasic() error {
	if err := c.validateAddresses(); err != nil {
		return err
	}
	budget := func(bytes int) bool { return bytes == 0 || bytes >= MinBufferBytes }
	budgetRule := fmt.Sprintf("it must be 0 or at least %d", MinBufferBytes)
	const notNegative = "it must not be negative"
	for _, check := range []struct {
		key   string
		value any
		valid bool
		rule  string
	}{
		{"flush_throttle_timeout", c.FlushThrottleTimeout,
			c.FlushThrottleTimeout >= 0 && c.FlushThrottleTimeout <= maxFlushThrottle, "it must be between 0s and 1m"},
		{"recv_assembly_timeout", c.RecvAssemblyTimeout, c.RecvAssemblyTimeout >= 0, notNegative},
		{"dial_timeout", c.DialTimeout, c.DialTimeout > 0, "it must be positive"},
		{"max_packet_msg_payload_size", c.MaxPacketMsgPayloadSize,
			c.MaxPacketMsgPayloadSize >= 1 && c.MaxPacketMsgPayloadSize <= maxPayloadSize,
			fmt.Sprintf("it must be between 1 and %d", maxPayloadSize)},
		{"send_rate", c.SendRate, c.SendRate >= 0, notNegative},
		{"recv_rate", c.RecvRate, c.RecvRate >= 0, notNegative},
		{"max_recv_buffer_bytes", c.MaxRecvBufferBytes, budget(c.MaxRecvBufferBytes), budgetRule},
		{"max_send_buffer_bytes", c.MaxSendBufferBytes, budget(c.MaxSendBufferBytes), budgetRule},
	} {
		if duration, ok := check.value.(time.Duration); ok {
			check.value = duration.String() // quoted, as in the file
		}
		if !check.valid {
			return &FieldError{fullName(check.key), check.value, check.rule}
		}
	}
	// Connections accept what is valid here; this call keeps the two in step.
	if err := c.MConnConfig().Validate(); err != nil {
		return fmt.Errorf("[p2p]: %w", err)
	}

	return nil
}

func (c *P2PConfig) validateAddresses() error {
	if _, _, err := tomlvalue.SplitAddress(c.ListenAddress); err != nil {
		return &FieldError{fullName("laddr"), c.ListenAddress, err.Error()}
	}
	if c.ExternalAddress == "" {
		return nil
	}
	host, port, err := tomlvalue.SplitAddress(c.ExternalAddress)
	switch {
	case err != nil:
	case host == "":
		err = errors.New("it has no host")
	case port == 0:
		err = errors.New("port 0 cannot be dialed")
	}
	if err != nil {
		return &FieldError{fullName("external_address"), c.ExternalAddress, err.Error()}
	}

	return nil
}
