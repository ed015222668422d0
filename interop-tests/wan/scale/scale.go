//go:build linux

package scale

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/scale/process"
)

const (
	hubPort, leafPort = 26656, 26700
	// maxPeers is how many leaf addresses there are.
	maxPeers = 6000
)

// Roles returns the roles of child processes that this package needs (child.Main).
func Roles() map[string]child.Role {
	return process.Roles(newNode)
}

// Run describes one run.
type Run struct {
	// Stack names the stack of all nodes in package cluster, or a bound.
	Stack string
	// Program is the program whose processes the nodes are in, if Stack is one of its own. ""
	// is this program.
	Program string
	// Peers is how many leaves there are, shared out among Processes.
	Peers, Processes int
	// Within is the time over which the leaves begin to dial.
	Within time.Duration
	// Settle is how long the hub is left alone with its peers before its memory is measured,
	// and Idle how long its CPU time is measured then.
	Settle, Idle time.Duration
	// Broadcasts is how many messages of 200 B go to all peers.
	Broadcasts int
	// Profile is the file for a CPU profile of the hub's broadcasts; "" for none.
	Profile string
	// Patience is how long each of the following may take: to make the leaves, to connect
	// them, and the broadcasts.
	Patience time.Duration
}

// Result is what a run has measured.
type Result struct {
	// Storm is the time from the first dial until the hub had all peers. StormCPU is what the
	// hub took for it, in CPU time.
	Storm, StormCPU time.Duration
	process.Resources
	// Broadcast holds for each broadcast the time until the last peer had it, sorted.
	Broadcast []time.Duration
	// BroadcastCPU is the hub's CPU time for one broadcast to one peer, without what it uses
	// when idle.
	BroadcastCPU time.Duration
}

// Measure runs a hub and its leaves.
func Measure(ctx context.Context, run Run) (result Result, err error) {
	if run.Peers < 1 || run.Peers > maxPeers || run.Processes < 1 || run.Processes > run.Peers || run.Broadcasts < 1 {
		return result, fmt.Errorf("scale: %d peers in %d processes and %d broadcasts: there must be 1 to %d peers, a process for one at most, and a broadcast",
			run.Peers, run.Processes, run.Broadcasts, maxPeers)
	}
	ns, err := box.NewNamespace()
	if err != nil {
		return result, err
	}
	defer ns.Close()
	// Every address is local. A connection to one of them comes from that address too, so
	// that the hub sees every leaf at an address of its own.
	if err := ns.IP("link set lo up", "route add local 0.0.0.0/0 dev lo"); err != nil {
		return result, err
	}
	m := &measurement{run: run, ns: ns, events: make(chan of), ended: make(chan struct{})}
	defer func() { err = errors.Join(err, m.stop()) }()
	err = m.measure(ctx)

	return m.result, err
}

// of is an event of a process.
type of struct {
	process.Event

	from int // the hub is 0
}

// measurement is a run under way.
type measurement struct {
	run       Run
	ns        *box.Namespace
	processes []*child.Process
	events    chan of
	ended     chan struct{} // closed when nobody takes events any more
	result    Result

	ready, peers, reached int
	dialing               time.Duration
	sent, got             []time.Duration // by broadcast: when it was sent, and when the last leaf had it
	ending                *process.Ending
	idle                  bool
}

func (m *measurement) measure(ctx context.Context) error {
	m.sent, m.got = make([]time.Duration, m.run.Broadcasts), make([]time.Duration, m.run.Broadcasts)
	if err := m.startAll(); err != nil {
		return err
	}
	if err := m.await(ctx, m.run.Patience, "to be ready", func() bool { return m.ready == len(m.processes) }); err != nil {
		return err
	}
	for _, p := range m.processes[1:] {
		if err := p.Signal(process.DialNow); err != nil {
			return err
		}
	}
	if err := m.await(ctx, m.run.Patience+m.run.Within, "to connect", func() bool { return m.result.Storm > 0 }); err != nil {
		return err
	}
	quiet := m.run.Settle + m.run.Idle
	if err := m.await(ctx, m.run.Patience+quiet, "to be idle", func() bool { return m.idle }); err != nil {
		return err
	}
	sending := time.Duration(m.run.Broadcasts) * process.BroadcastInterval
	err := m.await(ctx, m.run.Patience+sending, "to get the broadcasts", func() bool {
		return m.ending != nil && m.reached == m.run.Broadcasts*m.run.Processes
	})
	if err != nil {
		return err
	}
	if m.ending.Peers != m.run.Peers {
		return fmt.Errorf("%d of %d peers are left", m.ending.Peers, m.run.Peers)
	}
	used := m.ending.CPU - time.Duration(m.result.CPU*float64(m.ending.Took))
	m.result.BroadcastCPU = max(0, used) / time.Duration(m.run.Broadcasts*m.run.Peers)
	for i := range m.sent {
		m.result.Broadcast = append(m.result.Broadcast, m.got[i]-m.sent[i])
	}
	slices.Sort(m.result.Broadcast)

	return nil
}

// startAll starts the hub and the leaves.
func (m *measurement) startAll() error {
	key := p2ptypes.GenerateNodeKey()
	hub := process.Config{
		Stack: m.run.Stack, Key: key.PrivKey[:], Listen: fmt.Sprintf("%s@0.0.0.0:%d", key.ID(), hubPort),
		MaxInbound: uint64(m.run.Peers),
	}
	err := m.start(process.HubRole, process.HubSpec{
		Node: hub, Peers: m.run.Peers, Settle: m.run.Settle, Idle: m.run.Idle, Broadcasts: m.run.Broadcasts, Profile: m.run.Profile,
	})
	if err != nil {
		return err
	}
	specs := make([]process.LeavesSpec, m.run.Processes)
	for i := range m.run.Peers {
		s := &specs[i%len(specs)]
		s.Within, s.Broadcasts = m.run.Within, m.run.Broadcasts
		s.Nodes = append(s.Nodes, m.leaf(i, key))
	}
	for _, s := range specs {
		if err := m.start(process.LeavesRole, s); err != nil {
			return err
		}
	}

	return nil
}

// leaf returns the configuration of a leaf, which has an address in a network of its own as
// far as there are enough.
func (m *measurement) leaf(i int, hub *p2ptypes.NodeKey) process.Config {
	key := p2ptypes.GenerateNodeKey()
	ip := fmt.Sprintf("%d.%d.0.1", 11+i%100, 1+i/100)

	return process.Config{
		Stack: m.run.Stack, Key: key.PrivKey[:], HubKey: hub.PrivKey[ed25519.SeedSize:],
		Listen: fmt.Sprintf("%s@%s:%d", key.ID(), ip, leafPort), Dial: fmt.Sprintf("%s@%s:%d", hub.ID(), ip, hubPort),
	}
}

func (m *measurement) start(role string, spec any) error {
	from := len(m.processes)

	return m.ns.Do(func() error {
		p, err := child.StartProgram(m.run.Program, role, spec, func(line string) {
			select {
			case m.events <- of{process.ParseEvent(line), from}:
			case <-m.ended:
			}
		})
		if err == nil {
			m.processes = append(m.processes, p)
		}

		return err
	})
}

// await takes events until done returns true.
func (m *measurement) await(ctx context.Context, patience time.Duration, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !done() {
		select {
		case e := <-m.events:
			if e.Failed != "" {
				return fmt.Errorf("process %d: %s", e.from, e.Failed)
			}
			m.take(e)
		case <-ctx.Done():
			return fmt.Errorf("%d peers, of which about %d were connected, had %v %s: %w",
				m.run.Peers, m.peers, patience, what, ctx.Err())
		}
	}

	return nil
}

func (m *measurement) take(e of) {
	switch {
	case e.Ready:
		m.ready++
	case e.Dialing != nil:
		if m.dialing == 0 || e.Dialing.At < m.dialing {
			m.dialing = e.Dialing.At
		}
	case e.Peers > 0:
		m.peers = e.Peers
	case e.Connected != nil:
		m.result.Storm, m.result.StormCPU = e.Connected.At-m.dialing, e.Connected.CPU
	case e.Idle != nil:
		m.result.Resources, m.idle = *e.Idle, true
	case e.Broadcasting != nil:
		m.sent[e.Broadcasting.Number] = e.Broadcasting.At
	case e.Reached != nil:
		m.reached++
		m.got[e.Reached.Number] = max(m.got[e.Reached.Number], e.Reached.At)
	case e.Ended != nil:
		m.ending = e.Ended
	}
}

// stop stops all processes at once.
func (m *measurement) stop() error {
	close(m.ended)
	errs := make(chan error)
	for _, p := range m.processes {
		go func() { errs <- p.Stop() }()
	}
	var all []error
	for range m.processes {
		all = append(all, <-errs)
	}

	return errors.Join(all...)
}
