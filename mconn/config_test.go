package mconn

import (
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/require"
)

func TestDefaultConfig(t *testing.T) {
	t.Parallel()

	config := DefaultMConnConfig()
	require.NoError(t, config.Validate())
	require.Equal(t, MConnConfig{
		SendRate: 5120000, RecvRate: 5120000, MaxPacketMsgPayloadSize: 1024,
		FlushThrottle: 100 * time.Millisecond, PingInterval: time.Minute, PongTimeout: 45 * time.Second,
		RecvAssemblyTimeout: 30 * time.Second, MaxRecvBufferBytes: 20971520, MaxSendBufferBytes: 20971520,
	}, config)
}

func TestConfigKeys(t *testing.T) {
	t.Parallel()

	encoded, err := toml.Marshal(DefaultMConnConfig())
	require.NoError(t, err)

	var keys map[string]any
	require.NoError(t, toml.Unmarshal(encoded, &keys))

	for _, key := range []string{
		"send_rate", "recv_rate", "max_packet_msg_payload_size", "flush_throttle", "ping_interval", "pong_timeout",
		"recv_assembly_timeout", "max_recv_buffer_bytes", "max_send_buffer_bytes",
	} {
		require.Contains(t, keys, key)
		delete(keys, key)
	}

	require.Empty(t, keys)
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()

	tests := []struct {
		field  string
		change func(*MConnConfig)
	}{
		{"SendRate", func(c *MConnConfig) { c.SendRate = -1 }},
		{"RecvRate", func(c *MConnConfig) { c.RecvRate = -1 }},
		{"MaxPacketMsgPayloadSize", func(c *MConnConfig) { c.MaxPacketMsgPayloadSize = 0 }},
		{"MaxPacketMsgPayloadSize", func(c *MConnConfig) { c.MaxPacketMsgPayloadSize = 1<<20 + 1 }},
		{"FlushThrottle", func(c *MConnConfig) { c.FlushThrottle = -1 }},
		{"PingInterval", func(c *MConnConfig) { c.PingInterval = 0 }},
		{"PongTimeout", func(c *MConnConfig) { c.PongTimeout = 0 }},
		{"PongTimeout", func(c *MConnConfig) { c.PongTimeout = c.PingInterval }},
		{"RecvAssemblyTimeout", func(c *MConnConfig) { c.RecvAssemblyTimeout = -1 }},
		{"MaxRecvBufferBytes", func(c *MConnConfig) { c.MaxRecvBufferBytes = -1 }},
		{"MaxSendBufferBytes", func(c *MConnConfig) { c.MaxSendBufferBytes = -1 }},
	}
	for _, test := range tests {
		config := DefaultMConnConfig()
		test.change(&config)

		err := config.Validate()
		require.ErrorIs(t, err, ErrInvalidConfig)
		require.ErrorContains(t, err, test.field)
	}

	var zero MConnConfig
	zero.MaxPacketMsgPayloadSize, zero.PingInterval, zero.PongTimeout = 1, 2, 1
	require.NoError(t, zero.Validate(), "0 disables every limit")
}
