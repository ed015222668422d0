package dropin

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// acceptPause is how long Accept delays an error that does not end gno's accept loop, which
// calls Accept again at once.
const acceptPause = 100 * time.Millisecond

// keyRelease is the key under which a peer that toTransport returned keeps its *release.
const keyRelease = "tm2-libp2p/dropin/release"

var errNoPeer = errors.New("transport returned no peer")

type toTransport struct{ ours compat.Transport }

var _ p2p.Transport = toTransport{}

// Transport converts a transport to gno's type, for gno's own MultiplexSwitch. The caller
// makes the transport listen, and closes it after stopping the switch.
//
// Accept of a closed transport returns an error that matches compat.ErrTransportClosed and
// context.Canceled. gno's accept loop ends on context.Canceled, or on an error that gno does
// not export; after any other error it calls Accept again at once. So Accept delays other
// errors by 100 ms.
//
// Remove of a running peer takes effect when the peer is stopped. gno removes a peer before
// it stops it. If Remove closed the connection, the peer would stop, and gno's switch would
// ignore it as stopped elsewhere.
func Transport(t compat.Transport) p2p.Transport { return toTransport{ours: t} }

func (t toTransport) NetAddress() gnotypes.NetAddress {
	addr := t.ours.NetAddress()

	return *NetAddress(&addr)
}

func (t toTransport) Accept(ctx context.Context, behavior p2p.PeerBehavior) (p2p.PeerConn, error) {
	peer, err := t.ours.Accept(ctx, fromBehavior{gno: behavior})
	if err == nil && peer == nil {
		err = errNoPeer
	}
	if err == nil {
		return t.register(peer), nil
	}
	if errors.Is(err, compat.ErrTransportClosed) {
		return nil, translate(err, context.Canceled)
	}
	if !task.Sleep(ctx, acceptPause) {
		return nil, ctx.Err() // the only other error that ends gno's loop
	}

	return nil, err
}

func (t toTransport) Dial(
	ctx context.Context,
	addr gnotypes.NetAddress,
	behavior p2p.PeerBehavior,
) (p2p.PeerConn, error) {
	peer, err := t.ours.Dial(ctx, *FromNetAddress(&addr), fromBehavior{gno: behavior})
	if err != nil {
		return nil, err
	}
	if peer == nil {
		return nil, fmt.Errorf("dial %s: %w", addr.String(), errNoPeer)
	}

	return t.register(peer), nil
}

// Remove removes the transport's own peer, also when it gets a reactor's wrapper of it.
func (t toTransport) Remove(peer p2p.PeerConn) {
	if peer == nil {
		return
	}
	r, ok := peer.Get(keyRelease).(*release)
	if !ok { // not a peer of this transport
		t.ours.Remove(FromPeerConn(peer))

		return
	}
	r.asked.Store(true)
	if !r.peer.IsRunning() {
		r.run()
	}
}

// register attaches a release to a new peer and converts it to gno's type.
func (t toTransport) register(peer compat.PeerConn) p2p.PeerConn {
	peer.Set(keyRelease, &release{transport: t.ours, peer: peer})

	return PeerConn(peer)
}

// release delays the removal of a peer from its transport until the peer is stopped.
type release struct {
	transport compat.Transport
	peer      compat.PeerConn
	asked     atomic.Bool // gno has called Remove
}

// run removes the peer if gno has called Remove. It may be called more than once.
func (r *release) run() {
	if r.asked.Load() {
		r.transport.Remove(r.peer)
	}
}
