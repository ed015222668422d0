// Command comet measures both p2p layers of github.com/cometbft/cometbft. The stack
// "native" is p2p/conn and p2p.Switch; the stack "libp2p" is lp2p.Switch.
package main

import (
	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

func main() {
	harness.Main(map[string]harness.Project{
		"native": {
			SecretConn:   openSecretConn,
			Messages:     openMConn(lifted(), harness.QueueMessages),
			RoundTrip:    openMConn(config.DefaultP2PConfig(), harness.QueueMessages),
			Flood:        openMConn(lifted(), harness.QueueFlood),
			FloodLimited: openMConn(config.DefaultP2PConfig(), harness.QueueFlood),
			Broadcast:    newNetwork(lifted(), twoChannels(harness.QueueBroadcast)),
			Idle:         newNetwork(config.DefaultP2PConfig(), nodeChannels()),
		},
		"libp2p": {
			Messages:  openLibp2p,
			RoundTrip: openLibp2p,
			Flood:     openLibp2p,
			Broadcast: newLibp2pNetwork(),
		},
	})
}

func lifted() *config.P2PConfig {
	c := config.DefaultP2PConfig()
	c.SendRate, c.RecvRate = harness.Lifted, harness.Lifted

	return c
}

func twoChannels(queue int) []*conn.ChannelDescriptor {
	return []*conn.ChannelDescriptor{
		{
			ID: harness.ChHigh, Priority: harness.PriorityHigh, MessageType: &protomem.Message{},
			SendQueueCapacity: queue, RecvMessageCapacity: harness.MaxMessage,
		},
		{
			ID: harness.ChLow, Priority: harness.PriorityLow, MessageType: &protomem.Message{},
			SendQueueCapacity: queue, RecvMessageCapacity: harness.MaxMessage,
		},
	}
}

// nodeChannels returns the seven channels of a CometBFT node that correspond to those of a
// TM2 node: consensus, mempool, block sync and peer exchange.
func nodeChannels() []*conn.ChannelDescriptor {
	channels := []*conn.ChannelDescriptor{
		{ID: 0x20, Priority: 6, SendQueueCapacity: 100},
		{ID: 0x21, Priority: 10, SendQueueCapacity: 100, RecvBufferCapacity: 50 * 4096},
		{ID: 0x22, Priority: 7, SendQueueCapacity: 100, RecvBufferCapacity: 100 * 100},
		{ID: 0x23, Priority: 1, SendQueueCapacity: 2, RecvBufferCapacity: 1024},
		{ID: 0x30, Priority: 5},
		{ID: 0x40, Priority: 5, SendQueueCapacity: 1000, RecvBufferCapacity: 50 * 4096},
		{ID: 0x00, Priority: 1, SendQueueCapacity: 10},
	}
	for _, d := range channels {
		d.RecvMessageCapacity = harness.MaxMessage
		d.MessageType = &protomem.Message{}
	}

	return channels
}

// envelope wraps bytes into a message for a switch.
func envelope(ch byte, msg []byte) p2p.Envelope {
	return p2p.Envelope{ChannelID: ch, Message: &protomem.Txs{Txs: [][]byte{msg}}}
}
