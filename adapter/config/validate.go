package config

import (
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

const (
	// MinBufferBytes is the smallest budget that TM2 accepts: one block of the
	// largest size with its framing (docs/wire.md §5.4).
	MinBufferBytes = 8<<20 + 64<<10
	// maxPayloadSize is far above what any node accepts.
	maxPayloadSize = 1 << 20
	// maxFlushThrottle is far above what makes sense.
	maxFlushThrottle = time.Minute
)

// FieldError is a value of a configuration that cannot be worked with.
type FieldError struct {
	Key    string // section and name, as "[p2p].laddr"
	Value  any    // of a list the entry at fault
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

// ValidateBasic returns a *FieldError for the first value that a node cannot work
// with. It resolves no names, and like TM2 it leaves the lists of peers to
// SwitchOptions: a node can work without an entry.
func (c *P2PConfig) ValidateBasic() error {
	for _, check := range []func() error{c.validateAddresses, c.validateTimes, c.validateTraffic} {
		if err := check(); err != nil {
			return err
		}
	}
	// What is valid here is valid for connections; this holds the two together.
	if err := c.MConnConfig().Validate(); err != nil {
		return fmt.Errorf("[p2p]: %w", err)
	}

	return nil
}

func (c *P2PConfig) validateAddresses() error {
	if _, err := c.ProxyNetworks(); err != nil {
		return err
	}
	if _, _, err := tomlvalue.SplitAddress(c.ListenAddress); err != nil {
		return &FieldError{fullName("laddr"), c.ListenAddress, err.Error()}
	}
	if c.ExternalAddress == "" {
		return nil
	}
	host, port, err := tomlvalue.SplitAddress(c.ExternalAddress)
	switch {
	case err != nil:
		return &FieldError{fullName("external_address"), c.ExternalAddress, err.Error()}
	case host == "":
		return &FieldError{fullName("external_address"), c.ExternalAddress, "it has no host"}
	case port == 0:
		return &FieldError{fullName("external_address"), c.ExternalAddress, "port 0 cannot be dialed"}
	}

	return nil
}

func (c *P2PConfig) validateTimes() error {
	if c.FlushThrottleTimeout < 0 || c.FlushThrottleTimeout > maxFlushThrottle {
		return &FieldError{fullName("flush_throttle_timeout"), c.FlushThrottleTimeout.String(), "it must be between 0s and 1m"}
	}
	if c.RecvAssemblyTimeout < 0 {
		return &FieldError{fullName("recv_assembly_timeout"), c.RecvAssemblyTimeout.String(), "it must not be negative"}
	}
	if c.DialTimeout <= 0 {
		return &FieldError{fullName("dial_timeout"), c.DialTimeout.String(), "it must be positive"}
	}

	return nil
}

func (c *P2PConfig) validateTraffic() error {
	if c.MaxPacketMsgPayloadSize < 1 || c.MaxPacketMsgPayloadSize > maxPayloadSize {
		return &FieldError{fullName("max_packet_msg_payload_size"), c.MaxPacketMsgPayloadSize,
			fmt.Sprintf("it must be between 1 and %d", maxPayloadSize)}
	}
	for _, rate := range []struct {
		key   string
		value int64
	}{{"send_rate", c.SendRate}, {"recv_rate", c.RecvRate}} {
		if rate.value < 0 {
			return &FieldError{fullName(rate.key), rate.value, "it must not be negative"}
		}
	}
	for _, budget := range []struct {
		key   string
		value int
	}{{"max_recv_buffer_bytes", c.MaxRecvBufferBytes}, {"max_send_buffer_bytes", c.MaxSendBufferBytes}} {
		if budget.value != 0 && budget.value < MinBufferBytes {
			return &FieldError{fullName(budget.key), budget.value, fmt.Sprintf("it must be 0 or at least %d", MinBufferBytes)}
		}
	}

	return nil
}
