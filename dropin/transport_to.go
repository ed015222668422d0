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

// acceptPause is how long Accept holds an error back that does not end gno's
// accept loop, which calls again at once.
const acceptPause = 100 * time.Millisecond

// keyRelease is where a peer that a transport of ours has made for gno keeps its
// *release.
const keyRelease = "tm2-libp2p/dropin/release"

var errNoPeer = errors.New("transport returned no peer")

type toTransport struct{ ours compat.Transport }

var _ p2p.Transport = toTransport{}

// Transport is our transport as gno's, so that gno's own MultiplexSwitch runs over
// it. Whoever made the transport listens and closes it; the switch is stopped
// first.
//
// Accept of a closed transport returns an error that matches both
// compat.ErrTransportClosed and context.Canceled, with gno's own text: gno knows
// that the transport is closed only by an error that it does not export, and asks
// again at once after any other one. Other errors are therefore returned after
// 100 ms.
//
// Remove of a peer that runs takes effect when the peer is stopped: gno removes a
// peer before it stops it, and would take a peer whose connection ends first for
// one that is stopped by somebody else.
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
		return t.made(peer), nil
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

	return t.made(peer), nil
}

// Remove finds the transport's own peer, of which a reactor may have made another.
func (t toTransport) Remove(peer p2p.PeerConn) {
	if peer == nil {
		return
	}
	r, ok := peer.Get(keyRelease).(*release)
	if !ok { // a peer of another transport
		t.ours.Remove(FromPeerConn(peer))

		return
	}
	r.asked.Store(true)
	if !r.peer.IsRunning() {
		r.run()
	}
}

// made is a peer that gno gets from the transport.
func (t toTransport) made(peer compat.PeerConn) p2p.PeerConn {
	peer.Set(keyRelease, &release{transport: t.ours, peer: peer})

	return PeerConn(peer)
}

// release is the removal of a peer from its transport, which waits until the peer
// is stopped.
type release struct {
	transport compat.Transport
	peer      compat.PeerConn
	asked     atomic.Bool // gno has called Remove
}

// run removes the peer if gno has asked for it. It may run more than once, as
// Remove may.
func (r *release) run() {
	if r.asked.Load() {
		r.transport.Remove(r.peer)
	}
}
