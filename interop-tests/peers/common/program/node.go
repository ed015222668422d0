package program

// Node is the peer that the process runs. Methods are called from several
// goroutines between Start and Stop.
type Node interface {
	// Start starts to accept and dial. The node listens before.
	Start() error
	// Stop ends the node, started or not.
	Stop() error
	// Dial starts a dial of an address, ID@IP:port, and does not wait for it.
	Dial(addr string) error
	// Peers returns the connected peers.
	Peers() []Peer
	// Peer returns the connected peer with the ID, or nil.
	Peer(id string) Peer
}

// Peer is a connected peer of the node.
type Peer interface {
	ID() string
	// Send blocks until the message is queued. It returns false when that fails.
	Send(channel byte, msg []byte) bool
}
