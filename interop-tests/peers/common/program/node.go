package program

// Node is the peer that the process runs. Methods are called from several
// goroutines between Start and Stop.
type Node interface {
	// Start begins to accept and dial. The node listens already.
	Start() error
	// Stop ends the node, started or not.
	Stop() error
	// Dial dials an address, ID@IP:port, once and returns before it is done.
	Dial(addr string) error
	// Peers returns those who are connected.
	Peers() []Peer
	// Peer returns the connected peer with the ID, or nil.
	Peer(id string) Peer
}

// Peer is a remote to which the node is connected.
type Peer interface {
	ID() string
	// Send blocks until the message is queued, and returns false when it is not.
	Send(channel byte, msg []byte) bool
}
