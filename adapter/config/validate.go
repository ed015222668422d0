package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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

// The values of Stack and Dial, as in adapter/dual, and of Libp2pSecurity, as in adapter/lp2p.
// A program on the native stack alone can use this package without libp2p, so it does not
// import these.
var (
	stacks = []string{"native", "dual", "libp2p"}
	dials  = []string{"auto", "native-first", "libp2p-first", "native", "libp2p"}

	securities = []string{"noise", "tls"}
)

// FieldError is the error of a value that cannot be used. It names the key, the value and
// the reason.
type FieldError = tomlvalue.FieldError

// fullName is how errors name a key of the section.
func fullName(key string) string { return tomlvalue.FullName("p2p", key) }

// ValidateBasic returns a *FieldError for the first value that a node cannot use. It
// resolves no names. Like TM2 it leaves the lists of peers to SwitchOptions, since a node
// can do without an entry.
func (c *P2PConfig) ValidateBasic() error {
	if _, _, err := tomlvalue.SplitAddress(c.ListenAddress); err != nil {
		return tomlvalue.Wrong(fullName("laddr"), c.ListenAddress, err.Error())
	}
	if _, err := c.ProxyNetworks(); err != nil {
		return err
	}
	if _, err := c.BlockedNetworks(); err != nil {
		return err
	}
	if err := c.checkTunnels(); err != nil {
		return err
	}
	if err := checkExternal(c.ExternalAddress); err != nil {
		return tomlvalue.Wrong(fullName("external_address"), c.ExternalAddress, err.Error())
	}
	enough := func(budget int) bool { return budget == 0 || budget >= MinBufferBytes }
	buffer := fmt.Sprintf("it must be 0 or at least %d", MinBufferBytes)
	for _, rule := range []struct {
		holds  bool
		key    string
		value  any
		reason string
	}{
		{c.FlushThrottleTimeout >= 0 && c.FlushThrottleTimeout <= maxFlushThrottle,
			"flush_throttle_timeout", c.FlushThrottleTimeout.String(), "it must be between 0s and 1m"},
		{c.RecvAssemblyTimeout >= 0, "recv_assembly_timeout", c.RecvAssemblyTimeout.String(), "it must not be negative"},
		{c.DialTimeout > 0, "dial_timeout", c.DialTimeout.String(), "it must be positive"},
		{c.MaxPacketMsgPayloadSize >= 1 && c.MaxPacketMsgPayloadSize <= maxPayloadSize,
			"max_packet_msg_payload_size", c.MaxPacketMsgPayloadSize, fmt.Sprintf("it must be between 1 and %d", maxPayloadSize)},
		{c.SendRate >= 0, "send_rate", c.SendRate, "it must not be negative"},
		{c.RecvRate >= 0, "recv_rate", c.RecvRate, "it must not be negative"},
		{enough(c.MaxRecvBufferBytes), "max_recv_buffer_bytes", c.MaxRecvBufferBytes, buffer},
		{enough(c.MaxSendBufferBytes), "max_send_buffer_bytes", c.MaxSendBufferBytes, buffer},
		{slices.Contains(stacks, c.Stack), "stack", c.Stack, oneOf(stacks)},
		{slices.Contains(dials, c.Dial), "dial", c.Dial, oneOf(dials)},
		{slices.Contains(securities, c.Libp2pSecurity), "libp2p_security", c.Libp2pSecurity, oneOf(securities)},
	} {
		if !rule.holds {
			return tomlvalue.Wrong(fullName(rule.key), rule.value, rule.reason)
		}
	}
	// Connections accept what is valid here; this call keeps the two in step.
	if err := c.MConnConfig().Validate(); err != nil {
		return fmt.Errorf("[p2p]: %w", err)
	}

	return nil
}

// oneOf returns the reason that a value is none of these.
func oneOf(values []string) string { return `it must be "` + strings.Join(values, `", "`) + `"` }

func checkExternal(address string) error {
	if address == "" {
		return nil
	}
	host, port, err := tomlvalue.SplitAddress(address)
	switch {
	case err != nil:
		return err
	case host == "":
		return errors.New("it has no host")
	case port == 0:
		return errors.New("port 0 cannot be dialed")
	}

	return nil
}
