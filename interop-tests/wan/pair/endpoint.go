package pair

import (
	"context"
	"errors"
	"fmt"
)

// endpoint is a node with one peer.
type endpoint interface {
	// send blocks until the message is queued. It reports whether it was.
	send(ch byte, msg []byte) bool
	// close ends the node. Calls of send return.
	close() error
}

// handler is called with each message of the peer, one at a time for each channel. reply
// sends it an answer.
type handler func(ch byte, msg []byte, reply func(ch byte, msg []byte) bool)

// errLost reports that the peer has gone before the end.
var errLost = errors.New("connection lost")

// nodeSpec configures the process of a node.
type nodeSpec struct {
	Stack  string
	Key    []byte // of the node
	Listen string // ID@IP:port
	Dial   string // ID@IP:port; the listener has none
	Lifted bool
	// Plan is what the dialer sends.
	Plan plan
}

// open starts the node. The dialer's has a peer. lost is called once if the peer goes.
func open(ctx context.Context, spec nodeSpec, on handler, lost func(error)) (endpoint, error) {
	if spec.Stack == plainTCP {
		return openTCP(ctx, spec, on, lost)
	}
	e, err := openSwitch(ctx, spec, on, lost)
	if err != nil {
		return nil, fmt.Errorf("node on %s: %w", spec.Stack, err)
	}

	return e, nil
}
