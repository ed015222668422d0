package harness

import (
	"fmt"
	"time"
)

// Parameters that every project has to use.
const (
	// Lifted is the rate limit of a case without limits, in bytes per second. The limiting
	// code still runs, but never waits.
	Lifted int64 = 10_000_000_000

	ChHigh       byte = 0x10
	ChLow        byte = 0x01
	PriorityHigh      = 10
	PriorityLow       = 1

	MaxMessage = 4 << 20  // bytes; RecvMessageCapacity of both channels
	ReadBuffer = 64 << 10 // bytes; for reading a byte stream

	QueueMessages  = 100  // messages; SendQueueCapacity of Messages and RoundTrip
	QueueFlood     = 10   // of Flood and FloodLimited
	QueueBroadcast = 1000 // of Broadcast

	MaxPeers = 1000 // limit of a switch for each direction; never reached
)

// The rest of the parameters.
const (
	secretConnWrite = 64 << 10 // bytes
	roundTripSize   = 128      // bytes
	maxRoundTrips   = 20_000
	urgentSize      = 128 // bytes
	urgentInterval  = 5 * time.Millisecond
	floodSize       = 1 << 20 // bytes
	broadcastPeers  = 20
	broadcastSize   = 1 << 10 // bytes
	broadcastWindow = 256     // most broadcasts that have not reached the slowest peer
	pairWindow      = 256     // most messages of a pair that have not arrived
	pairBatch       = 64      // of them are allowed at once
	idleFewPeers    = 1
	idleManyPeers   = 50
	connectWorkers  = 8
)

var messageSizes = []struct {
	name string
	size int // bytes
}{{"64", 64}, {"1k", 1 << 10}, {"64k", 64 << 10}, {"1m", 1 << 20}}

// Project is one stack of one project. It has its default configuration, except where a
// field says otherwise. A nil field omits its cases.
type Project struct {
	// SecretConn opens a pair of encrypted byte streams; see StreamPipe.
	SecretConn Opener
	// Messages opens a pair with the channel ChHigh, rate limits lifted.
	Messages Opener
	// RoundTrip opens a pair with the channel ChHigh.
	RoundTrip Opener
	// Flood and FloodLimited open a pair with both channels, with rate limits
	// lifted and with the default ones.
	Flood, FloodLimited Opener
	// Broadcast makes hubs and leaves with both channels, rate limits lifted.
	Broadcast *Network
	// Pairs opens many pairs at once with both channels, rate limits lifted.
	Pairs ManyOpener
	// Idle makes hubs and leaves with the seven channels of a node.
	Idle *Network
	// Connect makes a listening node and as many dialers as there are workers.
	Connect func(workers int) (*Connector, error)
	// Other holds cases of this project only.
	Other map[string]Bench
}

// cases returns the cases of the project under their names.
func (p Project) cases(stack string) map[string]Bench {
	cases := make(map[string]Bench)
	for name, bench := range p.Other {
		cases[name] = bench
	}
	if p.SecretConn != nil {
		cases["secretconn"] = func(r *Run) error { return throughput(r, p.SecretConn, secretConnWrite) }
	}
	if p.Messages != nil {
		for _, m := range messageSizes {
			cases["messages-"+m.name] = func(r *Run) error { return throughput(r, p.Messages, m.size) }
		}
	}
	if p.RoundTrip != nil {
		cases["roundtrip"] = func(r *Run) error { return roundTrips(r, p.RoundTrip) }
	}
	if p.Flood != nil {
		cases["priority"] = func(r *Run) error { return priority(r, p.Flood) }
	}
	if p.FloodLimited != nil {
		cases["priority-limited"] = func(r *Run) error { return priority(r, p.FloodLimited) }
	}
	if p.Broadcast != nil {
		cases["broadcast"] = func(r *Run) error { return broadcast(r, p.Broadcast, stack) }
	}
	if p.Pairs != nil {
		cases["pairs"] = func(r *Run) error { return manyPairs(r, p.Pairs) }
	}
	if p.Idle != nil {
		cases["idle"] = func(r *Run) error { return idle(r, stack) }
	}
	if p.Connect != nil {
		cases["connect"] = func(r *Run) error { return connects(r, p.Connect) }
	}

	return cases
}

// network returns the network of a process of leaves or of a hub.
func network(projects map[string]Project, stack string, isIdle bool) (*Network, error) {
	p := projects[stack]
	nw := p.Broadcast
	if isIdle {
		nw = p.Idle
	}
	if nw == nil {
		return nil, fmt.Errorf("stack %q has no such network", stack)
	}

	return nw, nil
}
