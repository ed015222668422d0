// Command tm2 measures this project: secretconn, and switches of package adapter
// on the transports of adapter/native, adapter/lp2p and adapter/dual, also joined by package
// bridge.
package main

import (
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

func main() {
	harness.Main(map[string]harness.Project{
		"native": {
			SecretConn:   openSecretConn,
			Messages:     openSwitches(nativeTransport(lifted()), twoChannels(harness.QueueMessages)),
			RoundTrip:    openSwitches(nativeTransport(mconn.DefaultMConnConfig()), twoChannels(harness.QueueMessages)),
			Flood:        openSwitches(nativeTransport(lifted()), twoChannels(harness.QueueFlood)),
			FloodLimited: openSwitches(nativeTransport(mconn.DefaultMConnConfig()), twoChannels(harness.QueueFlood)),
			Broadcast:    newNetwork(nativeTransport(lifted()), twoChannels(harness.QueueBroadcast)),
			Pairs:        harness.Each(openSwitches(nativeTransport(lifted()), twoChannels(harness.QueueMessages))),
			Idle:         newNetwork(nativeTransport(mconn.DefaultMConnConfig()), nodeChannels()),
			Connect:      openConnector(nativeTransport(mconn.DefaultMConnConfig())),
		},
		"bridge": {
			Messages:  openBridged(twoChannels(harness.QueueMessages)),
			RoundTrip: openBridged(twoChannels(harness.QueueMessages)),
			Broadcast: bridgedNetwork(twoChannels(harness.QueueBroadcast)),
			Pairs:     openBridgedPairs(twoChannels(harness.QueueMessages)),
			Idle:      bridgedNetwork(nodeChannels()),
		},
		"libp2p": libp2pProject(libp2pTransport()),
		"tls":    libp2pProject(libp2pTransport(lp2p.WithSecurity(lp2p.SecurityTLS))),
		"quic":   libp2pProject(libp2pTransport(lp2p.WithQUICOnly())),
		// Two dual nodes speak libp2p, unless they are told to dial natively.
		"dual":        dualProject(),
		"dual-native": dualProject(dual.WithDial(dual.DialNative)),
	})
}

func dualProject(opts ...dual.Option) harness.Project {
	return harness.Project{
		Messages:  openSwitches(dualTransport(lifted(), opts...), twoChannels(harness.QueueMessages)),
		RoundTrip: openSwitches(dualTransport(mconn.DefaultMConnConfig(), opts...), twoChannels(harness.QueueMessages)),
		Idle:      newNetwork(dualTransport(mconn.DefaultMConnConfig(), opts...), nodeChannels()),
		Connect:   openConnector(dualTransport(mconn.DefaultMConnConfig(), opts...)),
	}
}

func libp2pProject(newTransport transportMaker) harness.Project {
	return harness.Project{
		Messages:  openSwitches(newTransport, twoChannels(harness.QueueMessages)),
		RoundTrip: openSwitches(newTransport, twoChannels(harness.QueueMessages)),
		Flood:     openSwitches(newTransport, twoChannels(harness.QueueFlood)),
		Broadcast: newNetwork(newTransport, twoChannels(harness.QueueBroadcast)),
		Pairs:     harness.Each(openSwitches(newTransport, twoChannels(harness.QueueMessages))),
		Idle:      newNetwork(newTransport, nodeChannels()),
		Connect:   openConnector(newTransport),
	}
}

func lifted() mconn.MConnConfig {
	c := mconn.DefaultMConnConfig()
	c.SendRate, c.RecvRate = harness.Lifted, harness.Lifted

	return c
}

func twoChannels(queue int) []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{
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
func nodeChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{
		{ID: 0x20, Priority: 5, SendQueueCapacity: 100},
		{ID: 0x21, Priority: 10, SendQueueCapacity: 100, RecvBufferCapacity: 50 * 4096},
		{ID: 0x22, Priority: 5, SendQueueCapacity: 100, RecvBufferCapacity: 100 * 100},
		{ID: 0x23, Priority: 1, SendQueueCapacity: 2, RecvBufferCapacity: 1024},
		{ID: 0x30, Priority: 5},
		{ID: 0x40, Priority: 10, SendQueueCapacity: 1000, RecvBufferCapacity: 50 * 4096},
		{ID: 0x50, Priority: 1, SendQueueCapacity: 20},
	}
}
