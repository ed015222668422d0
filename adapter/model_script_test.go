package adapter_test

import (
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// scenario is everything that is drawn: which nodes there are, and what happens to
// them. It is plain data, so that it is drawn outside of the bubble it runs in, is
// printed in full when it fails, and shrinks well.
type scenario struct {
	nodes []nodeConfig
	steps []step
}

// nodeConfig describes a node. Others are named by their index; the IDs of the
// nodes are in the order of their indices.
type nodeConfig struct {
	host          int // nodes of one host have one IP
	maxIn, maxOut int
	allowSameIP   bool
	askLate       bool          // the transport does not ask the switch in the handshake
	wraps         bool          // a reactor wraps peers in InitPeer
	dialsBack     bool          // a reactor dials a peer again from RemovePeer
	slowCalls     time.Duration // what InitPeer, AddPeer, RemovePeer and the start of a wrapped peer take
	slowDelivery  time.Duration // how long the transport has a message in its hands
	persistent    []int
	unconditional []int
	private       []int
	seeds         []int
}

// roomy is how many peers a node without a limit that matters lets in.
const roomy = 10

type stepKind int

const (
	stepDial        stepKind = iota // node dials peer
	stepDialAll                     // node dials everybody
	stepCross                       // both dial each other
	stepSend                        // node sends messages to peer; the last has an effect
	stepBroadcast                   // node broadcasts messages; the last has an effect
	stepSendWait                    // node sends a message to peer and waits for a place in the queue
	stepError                       // node stops peer with an error
	stepErrorStale                  // node stops the former connection with peer once more
	stepErrorBoth                   // both stop each other at once
	stepStopConn                    // node stops the PeerConn itself
	stepFlushStop                   // node stops the PeerConn itself when it is flushed
	stepCut                         // the connection breaks
	stepRestart                     // node stops and comes back at its address
	stepDown                        // node stops
	stepUp                          // node comes back
	stepPanicInit                   // the next InitPeer at node panics
	stepPanicAdd                    // the next AddPeer at node panics
	stepPanicRemove                 // the next RemovePeer at node panics
	stepPass                        // nothing happens
	numSteps
)

var stepNames = [numSteps]string{
	"dial", "dial all", "cross", "send", "broadcast", "send and wait", "stop for error", "stop former for error",
	"both stop for error", "stop conn", "flush and stop", "cut", "restart", "down", "up", "panic in InitPeer", "panic in AddPeer",
	"panic in RemovePeer", "pass",
}

// effect is what a message makes its receiver do.
type effect int

const (
	effectNone      effect = iota
	effectBlock            // Receive takes a while
	effectStop             // Receive stops the peer
	effectPanic            // Receive panics
	effectReply            // Receive sends to the peer
	effectBroadcast        // Receive broadcasts
	numEffects
)

var effectNames = [numEffects]string{"", "blocks", "stops its peer", "panics", "replies", "broadcasts"}

// step is one thing that happens, and how much time passes afterwards.
type step struct {
	kind       stepKind
	node, peer int
	reactor    int // of a panic
	count      int // of messages
	effect     effect
	block      time.Duration // of effectBlock
	stagger    time.Duration // between the two dials of a cross
	slow       [4]time.Duration
	then       time.Duration // noRest: the next step follows at once
}

const noRest = -1

// String describes the scenario so that a test can be written from it.
func (s scenario) String() string {
	var b strings.Builder
	for i, n := range s.nodes {
		fmt.Fprintf(&b, "node %d: %+v\n", i, n)
	}
	for i, st := range s.steps {
		fmt.Fprintf(&b, "%3d %s\n", i, st)
	}

	return b.String()
}

// String describes the step.
func (s step) String() string {
	text := fmt.Sprintf("%s %d", stepNames[s.kind], s.node)
	switch s.kind {
	case stepRestart, stepDown, stepUp, stepDialAll:
	case stepPanicInit, stepPanicAdd, stepPanicRemove:
		text += fmt.Sprintf(" reactor %d", s.reactor)
	case stepPass:
		text = "pass"
	case stepBroadcast:
		text += fmt.Sprintf(" x%d %s", s.count, effectNames[s.effect])
	case stepSend:
		text += fmt.Sprintf("-%d x%d %s", s.peer, s.count, effectNames[s.effect])
	case stepCross:
		text += fmt.Sprintf("-%d, %s apart, slow by %v", s.peer, s.stagger, s.slow)
	default:
		text += fmt.Sprintf("-%d", s.peer)
	}
	if s.effect == effectBlock {
		text += fmt.Sprintf(" for %s", s.block)
	}
	if s.then == noRest {
		return text + ", at once"
	}

	return text + fmt.Sprintf(", then %s", s.then)
}

var slowGen = rapid.SampledFrom([]time.Duration{0, time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond})

// flavor is what scenarios are made of.
type flavor struct {
	limits []bool // whether a node has limits; one is drawn
	kinds  []stepKind
}

// The simple kinds come first, since shrinking goes there.
var (
	crossings = flavor{
		limits: []bool{false},
		kinds:  []stepKind{stepDial, stepPass, stepCross, stepCross, stepCross, stepCross, stepSend, stepErrorStale},
	}
	crowds = flavor{
		limits: []bool{true},
		kinds: []stepKind{
			stepDial, stepPass, stepDialAll, stepDialAll, stepCross, stepCross, stepError, stepRestart, stepPanicInit,
		},
	}
	everything = flavor{
		limits: []bool{false, false, true},
		kinds: []stepKind{
			stepDial, stepDial, stepDial, stepPass, stepDialAll, stepCross, stepCross, stepCross, stepCross, stepSend, stepSend, stepSend,
			stepBroadcast, stepBroadcast, stepSendWait, stepError, stepErrorStale, stepErrorStale, stepErrorBoth, stepStopConn,
			stepFlushStop, stepCut, stepRestart, stepDown, stepUp, stepUp, stepPanicInit, stepPanicAdd, stepPanicRemove,
		},
	}
)

// drawScenario draws 3 to 6 nodes and what happens to them.
func drawScenario(t *rapid.T, f flavor) scenario {
	count := rapid.IntRange(3, 6).Draw(t, "nodes")
	var s scenario
	for i := range count {
		s.nodes = append(s.nodes, nodeGen(i, count, f).Draw(t, "node"))
	}
	// One slice of this library has 5 elements on average.
	steps := rapid.SliceOfN(stepGen(count, f), 0, 20)
	for range 6 {
		s.steps = append(s.steps, steps.Draw(t, "steps")...)
	}

	return s
}

func nodeGen(self, count int, f flavor) *rapid.Generator[nodeConfig] {
	some := rapid.SliceOfNDistinct(rapid.IntRange(1, count-1), 0, 2, rapid.ID[int])
	others := func(t *rapid.T, label string) []int {
		indices := some.Draw(t, label)
		for i := range indices {
			indices[i] = (self + indices[i]) % count
		}

		return indices
	}

	return rapid.Custom(func(t *rapid.T) nodeConfig {
		c := nodeConfig{host: self, maxIn: roomy, maxOut: roomy, allowSameIP: true}
		c.persistent = others(t, "persistent")
		c.slowCalls = slowGen.Draw(t, "slow calls")
		c.slowDelivery = slowGen.Draw(t, "slow delivery")
		c.askLate = rapid.Bool().Draw(t, "ask late")
		c.wraps = rapid.Bool().Draw(t, "wraps")
		c.dialsBack = rapid.Bool().Draw(t, "dials back")
		c.private = others(t, "private")
		c.seeds = others(t, "seeds")
		if rapid.SampledFrom(f.limits).Draw(t, "limits") {
			c.maxIn = rapid.IntRange(0, 3).Draw(t, "max inbound")
			c.maxOut = rapid.IntRange(0, 3).Draw(t, "max outbound")
			c.unconditional = others(t, "unconditional")
			c.host = rapid.IntRange(0, count-1).Draw(t, "host")
			c.allowSameIP = rapid.Bool().Draw(t, "allow same IP")
		}

		return c
	})
}

func stepGen(count int, f flavor) *rapid.Generator[step] {
	kinds := rapid.SampledFrom(f.kinds)

	return rapid.Custom(func(t *rapid.T) step {
		s := step{kind: kinds.Draw(t, "kind"), node: rapid.IntRange(0, count-1).Draw(t, "node")}
		s.peer = (s.node + rapid.IntRange(1, count-1).Draw(t, "peer")) % count
		switch s.kind {
		case stepCross:
			s.stagger = slowGen.Draw(t, "stagger")
			for i := range s.slow {
				s.slow[i] = slowGen.Draw(t, "slow")
			}
		case stepSend, stepBroadcast:
			s.count = rapid.IntRange(1, 6).Draw(t, "count")
			s.effect = effect(rapid.IntRange(0, int(numEffects)-1).Draw(t, "effect"))
			// Shorter and longer than the wait for a former connection, 3 s, and
			// than those for a place in a queue and for the switch to stop, 10 s.
			s.block = rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 4 * time.Second, 12 * time.Second}).Draw(t, "block")
		case stepPanicInit, stepPanicAdd, stepPanicRemove:
			s.reactor = rapid.IntRange(0, numReactors-1).Draw(t, "reactor")
		}
		s.then = rapid.SampledFrom([]time.Duration{
			0, 0, 0, noRest, noRest, time.Millisecond, time.Second, 5 * time.Second, 40 * time.Second,
		}).Draw(t, "then")

		return s
	})
}
