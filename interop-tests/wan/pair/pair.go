//go:build linux

package pair

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	p2ptypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/dropin"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/box"
)

// dialerNode is the index of the dialer's process.
const dialerNode = 1

const (
	nodePort   = 26656
	bridgePort = 26660 // and the next one
	// startPatience is how long nodes may take to start and connect.
	startPatience = 2 * time.Minute
)

// Run describes one run.
type Run struct {
	Stack Stack
	// Box is the network. Its number of places is ignored.
	Box box.Config
	// Warmup and During are how long bulk messages are sent before, and in, the measured
	// window.
	Warmup, During time.Duration
	// Votes and Parts are how many messages of 200 B, and of 64 KiB, are sent alone afterwards
	// to count their bytes on the wire; 0 for none.
	Votes, Parts int
	// Patience is how long what is on its way may take to arrive when sending has ended.
	Patience time.Duration
}

// Result is what a run has measured.
type Result struct {
	Connect time.Duration
	// Rate is that of bulk messages, in bytes per second.
	Rate float64
	// Urgent holds the latencies of the urgent messages, sorted.
	Urgent []time.Duration
	// NotTaken is how many sends failed, since a queue stayed full.
	NotTaken int64
	// VoteBytes and PartBytes are the bytes of IP packets, both ways, for one vote and for one
	// part; 0 if not measured.
	VoteBytes, PartBytes float64
	// Late is how late the router was in the measured window.
	Late time.Duration
}

// Void reports whether the router was too late for the figures to mean anything.
func (r Result) Void() bool { return r.Late > box.LateLimit }

// Quantile returns a quantile of the urgent messages' latencies; 0 if there are none.
func (r Result) Quantile(q float64) time.Duration {
	if len(r.Urgent) == 0 {
		return 0
	}

	return r.Urgent[min(len(r.Urgent)-1, int(q*float64(len(r.Urgent))))]
}

// Measure makes a box and runs two nodes in it.
func Measure(ctx context.Context, run Run) (result Result, err error) {
	run.Box.Places = 2
	b, err := box.New(run.Box)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	m := &measurement{run: run, box: b, events: make(chan event), ended: make(chan struct{})}
	defer func() { err = errors.Join(err, m.stop()) }()

	return m.measure(ctx)
}

// measurement is a run under way.
type measurement struct {
	run    Run
	box    *box.Box
	nodes  []*child.Process // the listener, and then the dialer
	bridge *cluster.Bridge
	events chan event
	ended  chan struct{} // closed when nobody takes events any more
	result Result
	bytes  [markEnd + 1]int64 // on the wire until each mark
	urgent int
}

func (m *measurement) measure(ctx context.Context) (Result, error) {
	dialer, listener := m.spec(0, m.run.Stack.Dialer), m.spec(1, m.run.Stack.Listener)
	dialer.Dial = listener.Listen
	dialer.Plan = plan{
		Warmup: m.run.Warmup, Ramp: m.ramp(), During: m.run.During,
		Votes: m.run.Votes, Parts: m.run.Parts, Patience: m.run.Patience,
	}
	if err := m.start(ctx, 1, listenerRole, listener); err != nil {
		return m.result, err
	}
	if err := m.await(ctx, startPatience, "the listener", func(e event) (bool, error) { return e.Listening, nil }); err != nil {
		return m.result, err
	}
	if m.run.Stack.Bridge {
		addr, err := m.startBridge(listener.Listen)
		if err != nil {
			return m.result, err
		}
		dialer.Dial = addr
	}
	if err := m.start(ctx, 0, dialerRole, dialer); err != nil {
		return m.result, err
	}
	joined := func(e event) (bool, error) { return e.Mark != nil, m.take(e) }
	if err := m.await(ctx, startPatience, "the connection", joined); err != nil {
		return m.result, err
	}
	// A plan drains five times.
	all := m.run.Warmup + dialer.Plan.Ramp + m.run.During + 5*m.run.Patience +
		time.Duration(m.run.Votes)*urgentInterval
	got, done := false, false
	err := m.await(ctx, all, "the end", func(e event) (bool, error) {
		got, done = got || e.Received != nil, done || e.Sent != nil

		return got && done, m.take(e)
	})
	if err == nil && len(m.result.Urgent) != m.urgent {
		err = fmt.Errorf("%d of %d urgent messages arrived", len(m.result.Urgent), m.urgent)
	}
	m.wire()

	return m.result, err
}

// ramp is long enough for TCP to become fast again after the pause before it.
func (m *measurement) ramp() time.Duration {
	p := m.box.Path(0, 1)

	return max(time.Second, 20*p.Delay)
}

func (m *measurement) spec(place int, stack string) nodeSpec {
	key := p2ptypes.GenerateNodeKey()

	return nodeSpec{
		Stack: stack, Key: key.PrivKey[:], Lifted: m.run.Stack.Lifted,
		Listen: m.address(place, key.ID(), nodePort),
	}
}

// address returns ID@IP:port at a place.
func (m *measurement) address(place int, id p2ptypes.ID, port int) string {
	return fmt.Sprintf("%s@%s", id, m.hostPort(place, port))
}

func (m *measurement) hostPort(place, port int) string {
	return net.JoinHostPort(m.box.Place(place).Addr().String(), fmt.Sprint(port))
}

// start starts a node at a place.
func (m *measurement) start(ctx context.Context, place int, role string, spec nodeSpec) error {
	return m.box.Place(place).Do(func() error {
		p, err := child.Start(role, spec, func(line string) {
			select {
			case m.events <- parseEvent(line):
			case <-m.ended:
			}
		})
		if err != nil {
			return err
		}
		m.nodes = append(m.nodes, p)

		return ctx.Err()
	})
}

// startBridge starts a bridge beside the listener and returns its native address.
func (m *measurement) startBridge(listener string) (string, error) {
	spec := cluster.BridgeSpec{
		Native: m.hostPort(1, bridgePort), Libp2p: m.hostPort(1, bridgePort+1), Libp2pPeers: []string{listener},
		Channels: dropin.FromChannelDescriptors(channels()), Rate: liftedRate,
	}
	b := cluster.NewBridgeOf(spec, slog.New(slog.DiscardHandler))
	if err := m.box.Place(1).Do(b.Start); err != nil {
		return "", err
	}
	m.bridge = b

	return b.AddressFor(cluster.SpeaksNative), nil
}

// await takes events until done returns true for one.
func (m *measurement) await(ctx context.Context, patience time.Duration, what string, done func(event) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		select {
		case e := <-m.events:
			if e.Failed != "" {
				return errors.New(e.Failed)
			}
			if ended, err := done(e); ended || err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %v: %w", what, patience, ctx.Err())
		}
	}
}

// take takes what an event says.
func (m *measurement) take(e event) error {
	switch {
	case e.Mark != nil:
		return m.takeMark(e.Mark.Number)
	case e.Received != nil:
		if m.run.During > 0 {
			m.result.Rate = float64(e.Received.Bytes) / m.run.During.Seconds()
		}
		m.result.Urgent = e.Received.Urgent
		slices.Sort(m.result.Urgent)
	case e.Sent != nil:
		m.urgent, m.result.NotTaken, m.result.Connect = e.Sent.Urgent, e.Sent.Failed, e.Sent.Connect
	}

	return nil
}

// takeMark counts the bytes until a mark. The dialer waits until it has, except at the borders
// of the window, where it is sending.
func (m *measurement) takeMark(number int64) error {
	m.bytes[number] = m.box.Total().Bytes
	switch number {
	case markWindow:
		m.box.Late() // counts from here
	case markSent:
		m.result.Late = m.box.Late()
	default:
		return m.nodes[dialerNode].Signal(markTaken)
	}

	return nil
}

// wire computes the bytes of votes and parts. The mark after each part of the plan is among
// them.
func (m *measurement) wire() {
	before := markDrained
	if m.run.During == 0 {
		before = markWarm
	}
	if m.run.Votes > 0 {
		m.result.VoteBytes = float64(m.bytes[markVotes]-m.bytes[before]) / float64(m.run.Votes)
	}
	if m.run.Parts > 0 {
		m.result.PartBytes = float64(m.bytes[markParts]-m.bytes[markVotes]) / float64(m.run.Parts)
	}
}

// stop stops the processes.
func (m *measurement) stop() error {
	close(m.ended)
	var errs []error
	for _, p := range slices.Backward(m.nodes) {
		errs = append(errs, p.Stop())
	}
	if m.bridge != nil {
		errs = append(errs, m.bridge.Stop())
	}

	return errors.Join(errs...)
}
