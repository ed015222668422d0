package dual

import "fmt"

// Stack says which stacks a node accepts.
type Stack string

// The stacks that a node accepts.
const (
	StackNative Stack = "native" // native peers only
	StackDual   Stack = "dual"   // peers of both stacks
	StackLibp2p Stack = "libp2p" // libp2p peers only
)

// ParseStack returns the Stack with the name, or an error that lists the names.
func ParseStack(name string) (Stack, error) {
	switch s := Stack(name); s {
	case StackNative, StackDual, StackLibp2p:
		return s, nil
	default:
		return "", fmt.Errorf("stack %q: must be %q, %q or %q", name, StackNative, StackDual, StackLibp2p)
	}
}

// DialPolicy says on which stack a node dials an address.
type DialPolicy string

// The policies of dials. All but DialNative and DialLibp2p find every node at the first
// dial, whichever stacks it accepts; they differ in the stack on which they reach a node
// that accepts both.
const (
	// DialAuto listens before it speaks, unless the peer has answered on libp2p within
	// a day: a node of one stack shows that at once. A node that shows nothing accepts
	// both stacks, or is slow, and is dialed on libp2p.
	DialAuto DialPolicy = "auto"
	// DialNativeFirst dials libp2p only where no native node answers.
	DialNativeFirst DialPolicy = "native-first"
	// DialLibp2pFirst dials native only where no libp2p node answers. A native node then
	// sees a connection of another protocol before the right one.
	DialLibp2pFirst DialPolicy = "libp2p-first"
	DialNative      DialPolicy = "native" // never libp2p
	DialLibp2p      DialPolicy = "libp2p" // never native
)

// ParseDialPolicy returns the DialPolicy with the name, or an error that lists the names.
func ParseDialPolicy(name string) (DialPolicy, error) {
	switch p := DialPolicy(name); p {
	case DialAuto, DialNativeFirst, DialLibp2pFirst, DialNative, DialLibp2p:
		return p, nil
	default:
		return "", fmt.Errorf("dial %q: must be %q, %q, %q, %q or %q",
			name, DialAuto, DialNativeFirst, DialLibp2pFirst, DialNative, DialLibp2p)
	}
}
