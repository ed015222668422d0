// Command gno measures the p2p layer of github.com/gnolang/gno: its secret
// connection, MConnection, MultiplexTransport and MultiplexSwitch.
package main

import (
	"github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

func main() {
	harness.Main(map[string]harness.Project{"native": {
		SecretConn:   openSecretConn,
		Messages:     openMConn(lifted(), harness.QueueMessages),
		RoundTrip:    openMConn(defaults(), harness.QueueMessages),
		Flood:        openMConn(lifted(), harness.QueueFlood),
		FloodLimited: openMConn(defaults(), harness.QueueFlood),
		Broadcast:    newNetwork(lifted(), twoChannels(harness.QueueBroadcast)),
		Pairs:        harness.Each(openMConn(lifted(), harness.QueueMessages)),
		Idle:         newNetwork(defaults(), nodeChannels()),
		Connect:      openConnector,
	}})
}

// defaults returns the configuration of a node.
func defaults() conn.MConnConfig { return conn.MConfigFromP2P(config.DefaultP2PConfig()) }

func lifted() conn.MConnConfig {
	c := defaults()
	c.SendRate, c.RecvRate = harness.Lifted, harness.Lifted

	return c
}

func twoChannels(queue int) []*conn.ChannelDescriptor {
	return []*conn.ChannelDescriptor{
		{
			ID: harness.ChHigh, Priority: harness.PriorityHigh,
			SendQueueCapacity: queue, RecvMessageCapacity: harness.MaxMessage,
		},
		{
			ID: harness.ChLow, Priority: harness.PriorityLow,
			SendQueueCapacity: queue, RecvMessageCapacity: harness.MaxMessage,
		},
	}
}

// nodeChannels returns the channels of a gno.land node: consensus, mempool, block sync and
// discovery.
func nodeChannels() []*conn.ChannelDescriptor {
	return []*conn.ChannelDescriptor{
		{ID: 0x20, Priority: 5, SendQueueCapacity: 100},
		{ID: 0x21, Priority: 10, SendQueueCapacity: 100, RecvBufferCapacity: 50 * 4096},
		{ID: 0x22, Priority: 5, SendQueueCapacity: 100, RecvBufferCapacity: 100 * 100},
		{ID: 0x23, Priority: 1, SendQueueCapacity: 2, RecvBufferCapacity: 1024},
		{ID: 0x30, Priority: 5},
		{ID: 0x40, Priority: 10, SendQueueCapacity: 1000, RecvBufferCapacity: 50 * 4096},
		{ID: 0x50, Priority: 1, SendQueueCapacity: 20},
	}
}
