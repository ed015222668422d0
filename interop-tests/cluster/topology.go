package cluster

import "fmt"

// Topology describes the stacks of the validators of a network and their links.
type Topology struct {
	// Validators holds the stack of each validator.
	Validators []Stack
	// OwnLinks connects every two validators that speak the same protocol.
	OwnLinks bool
	// BothDial makes both ends of each own link dial. Otherwise the later validator does.
	BothDial bool
	// Bridge connects every node to a bridge, which knows all validators.
	Bridge bool
	// Via maps the address of a node to the address to dial instead, both ID@IP:port. It is
	// called for each link. Nil dials nodes directly.
	Via func(addr string) (string, error)
}

// Of returns a topology of n validators of one stack, all connected with each other.
func Of(stack Stack, n int) Topology {
	t := Topology{OwnLinks: true}
	for range n {
		t.Validators = append(t.Validators, stack)
	}

	return t
}

// Build adds the validators to an empty network and sets the addresses that they dial. It
// starts nothing. The bridge is nil for a topology without one.
func (t Topology) Build(n *Network) (*Bridge, error) {
	for _, stack := range t.Validators {
		if _, err := n.AddValidator(stack); err != nil {
			return nil, err
		}
	}
	if t.OwnLinks {
		for i, m := range n.Members() {
			for j, other := range n.Members() {
				if other == m || j > i && !t.BothDial || other.stack.Speaks != m.stack.Speaks {
					continue
				}
				if err := t.dial(m, other.Address.String()); err != nil {
					return nil, err
				}
			}
		}
	}
	if !t.Bridge {
		return nil, nil
	}
	b, err := n.NewBridge()
	if err != nil {
		return nil, fmt.Errorf("bridge: %w", err)
	}
	for _, m := range n.Members() {
		if err := t.dial(m, b.AddressFor(m.stack.Speaks)); err != nil {
			return nil, err
		}
	}

	return b, nil
}

func (t Topology) dial(m *Member, addr string) error {
	if t.Via != nil {
		via, err := t.Via(addr)
		if err != nil {
			return fmt.Errorf("way from %s to %s: %w", m.Name, addr, err)
		}
		addr = via
	}
	m.Dial(addr)

	return nil
}
