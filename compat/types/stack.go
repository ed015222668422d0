package types

// Stack is a protocol stack of TM2 peers.
type Stack string

// The stacks.
const (
	StackNative Stack = "native" // TCP, secret connection, MConnection (docs/wire.md)
	StackLibp2p Stack = "libp2p" // sessions over libp2p (docs/sessions.md)
)
