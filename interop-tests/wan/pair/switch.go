package pair

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/validator"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/probe"
)

// liftedRate is the rate limit of a node with lifted rates, in bytes per second.
const liftedRate = 1_000_000_000

// switchNode is a switch with a reactor.
type switchNode struct {
	sw      validator.Switch
	reactor *reactor
}

func openSwitch(ctx context.Context, spec nodeSpec, on handler, lost func(error)) (endpoint, error) {
	config := probe.Config{Stack: spec.Stack, Key: spec.Key, Listen: spec.Listen, Dial: spec.Dial}
	if spec.Lifted {
		config.Rate = liftedRate
	}
	r := newReactor(on, lost)
	sw, err := probe.NewSwitch(config, r)
	if err != nil {
		return nil, err
	}
	n := &switchNode{sw: sw, reactor: r}
	if err := sw.Start(); err != nil {
		return nil, errors.Join(err, n.close())
	}
	if spec.Dial == "" {
		return n, nil
	}
	select {
	case <-r.joined:
		return n, nil
	case <-ctx.Done():
		return nil, errors.Join(errors.New("no connection"), ctx.Err(), n.close())
	}
}

func (n *switchNode) send(ch byte, msg []byte) bool {
	peer := n.reactor.current()

	return peer != nil && peer.Send(ch, msg)
}

func (n *switchNode) close() error {
	n.reactor.leave()

	return n.sw.Close()
}

// reactor passes messages to the handler.
type reactor struct {
	p2p.BaseReactor

	on     handler
	lost   func(error)
	joined chan struct{} // closed with the first peer

	mtx     sync.Mutex
	peer    p2p.PeerConn
	leaving bool // losing the peer is no failure any more
}

func newReactor(on handler, lost func(error)) *reactor {
	r := &reactor{on: on, lost: lost, joined: make(chan struct{})}
	r.BaseReactor = *p2p.NewBaseReactor("Probe", r)

	return r
}

// GetChannels implements p2p.Reactor.
func (r *reactor) GetChannels() []*conn.ChannelDescriptor { return channels() }

// AddPeer implements p2p.Reactor.
func (r *reactor) AddPeer(peer p2p.PeerConn) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	if r.peer == nil {
		r.peer = peer
		close(r.joined)
	}
}

// RemovePeer implements p2p.Reactor.
func (r *reactor) RemovePeer(_ p2p.PeerConn, reason any) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	if !r.leaving {
		r.leaving = true
		r.lost(fmt.Errorf("%w: %v", errLost, reason))
	}
}

// Receive implements p2p.Reactor.
func (r *reactor) Receive(ch byte, peer p2p.PeerConn, msg []byte) { r.on(ch, msg, peer.Send) }

func (r *reactor) current() p2p.PeerConn {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return r.peer
}

func (r *reactor) leave() {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.leaving = true
}
