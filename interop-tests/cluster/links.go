package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/dropin"
)

// SetStack makes the node use another stack from its next start. It keeps its key, address,
// port, persistent peers and stores.
func (m *Member) SetStack(s Stack) { m.stack = s }

// Link is a connection between two members.
type Link struct {
	Dialer, Listener *Member
	Stack            types.Stack
}

// Links returns the connections between the members, which are running. It returns an error
// unless every two of them, one of which dials the other, have exactly one connection, on a
// stack that both speak.
func Links(members ...*Member) ([]Link, error) {
	var links []Link
	for i, a := range members {
		for _, b := range members[:i] {
			if !a.dialsTo(b) && !b.dialsTo(a) {
				continue
			}
			l, err := linkOf(a, b)
			if err != nil {
				return nil, err
			}
			links = append(links, l)
		}
	}

	return links, nil
}

func (m *Member) dialsTo(other *Member) bool { return slices.Contains(m.dials, other.Address.String()) }

// linkOf returns the connection of two members.
func linkOf(a, b *Member) (Link, error) {
	atA, atB := a.node.Switch.Peers().Get(b.key.ID()), b.node.Switch.Peers().Get(a.key.ID())
	if atA == nil || atB == nil {
		return Link{}, fmt.Errorf("%s and %s are not connected", a, b)
	}
	if atA.IsOutbound() == atB.IsOutbound() || stackOf(atA) != stackOf(atB) {
		return Link{}, fmt.Errorf("%s and %s have different connections", a, b)
	}
	l := Link{Dialer: a, Listener: b, Stack: stackOf(atA)}
	if atB.IsOutbound() {
		l.Dialer, l.Listener = b, a
	}
	if !a.stack.Speaks.includes(l.Stack) || !b.stack.Speaks.includes(l.Stack) {
		return Link{}, fmt.Errorf("%s and %s are connected over %s", a, b, l.Stack)
	}

	return l, nil
}

// stackOf returns the stack of a peer. Those of gno's own transport do not tell theirs.
func stackOf(p p2p.PeerConn) types.Stack {
	if r, ok := dropin.FromPeerConn(p).(compat.StackReporter); ok {
		return r.Stack()
	}

	return types.StackNative
}

// includes reports whether nodes with the protocol have links over the stack.
func (p Protocol) includes(s types.Stack) bool { return p == SpeaksBoth || string(p) == string(s) }

// String returns the name of the node and the stack that it runs now.
func (m *Member) String() string { return m.Name + " on " + m.stack.Name }

// Describe tells how many links run on each stack, and which.
func Describe(links []Link) string {
	on := make(map[types.Stack][]string)
	for _, l := range links {
		on[l.Stack] = append(on[l.Stack], fmt.Sprintf("%s to %s", l.Dialer.number(), l.Listener.number()))
	}
	var parts []string
	for _, s := range []types.Stack{types.StackNative, types.StackLibp2p} {
		if len(on[s]) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s (%s)", len(on[s]), s, strings.Join(on[s], ", ")))
		}
	}

	return strings.Join(parts, "; ")
}

// number returns the number of the node, with which its name begins.
func (m *Member) number() string {
	number, _, _ := strings.Cut(m.Name, "-")

	return number
}
