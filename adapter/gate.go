package adapter

import (
	"fmt"
	"runtime/debug"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// PanicError is the reason of a removal when a reactor panicked while it handled
// the peer.
type PanicError struct {
	Reactor  string // the name given to WithReactor
	Callback string // InitPeer, AddPeer, RemovePeer or Receive
	Value    any    // what was passed to panic
	Stack    []byte // the stack of the goroutine that panicked
}

// Error names the callback and the value, not the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("reactor %q panicked in %s: %v", e.Reactor, e.Callback, e.Value)
}

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)

	return err
}

// gate passes messages from a transport to a reactor while their connection is open. The
// connection is not removed before the message is handled.
type gate struct {
	compat.Reactor
	sw   *MultiplexSwitch
	name string
}

// Receive implements compat.Reactor. It does not allocate.
func (g *gate) Receive(chID byte, conn compat.PeerConn, msg []byte) {
	c := g.sw.lookup(conn)
	if c == nil || !c.enter() {
		return
	}
	// The recovery runs first, so that a peer stopped for a panic is removed here with the
	// panic as the reason.
	defer g.sw.release(c)
	defer g.recoverReceive(c, chID)
	g.Reactor.Receive(chID, c.peer, msg)
}

// recoverReceive stops the peer whose message made the reactor panic.
func (g *gate) recoverReceive(c *connection, chID byte) {
	if v := recover(); v != nil {
		g.sw.stop(c, g.sw.panicked(c, g.name, "Receive", v, "channel", chID))
	}
}

// call runs a callback of a reactor and returns its panic, or nil.
func (sw *MultiplexSwitch) call(c *connection, reactor, callback string, f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = sw.panicked(c, reactor, callback, v)
		}
	}()
	f()

	return nil
}

// panicked logs a panic of a reactor with the attributes and returns it as an error.
func (sw *MultiplexSwitch) panicked(c *connection, reactor, callback string, v any, attrs ...any) *PanicError {
	err := &PanicError{Reactor: reactor, Callback: callback, Value: v, Stack: debug.Stack()}
	sw.Logger.With(attrs...).Error("reactor panicked", "peer", c.id, "err", err, "stack", string(err.Stack))

	return err
}
