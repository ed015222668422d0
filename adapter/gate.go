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

// gate stands between a transport and a reactor. A message passes only while its
// connection is open, and the connection is not removed before the message is handled.
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
	v := recover()
	if v == nil {
		return
	}
	err := &PanicError{Reactor: g.name, Callback: "Receive", Value: v, Stack: debug.Stack()}
	g.sw.Logger.Error("reactor panicked", "peer", c.id, "channel", chID, "err", err, "stack", string(err.Stack))
	g.sw.stop(c, err)
}

// guard calls a reactor and returns its panic, which it has logged, or nil.
func (sw *MultiplexSwitch) guard(c *connection, reactor, callback string, f func()) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		p := &PanicError{Reactor: reactor, Callback: callback, Value: v, Stack: debug.Stack()}
		sw.Logger.Error("reactor panicked", "peer", c.id, "err", p, "stack", string(p.Stack))
		err = p
	}()
	f()

	return nil
}
