package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dialnames"
)

// A target that has failed is taken to be down until something shows that it is up. The dials for
// nodes show it, but where all nodes have a pair nobody dials it. So the bridge itself connects to
// a configured one, when its penalty is over and before a pair moves to it.

// retry connects to a configured target whose penalty is over and which may still be down, if there
// is one.
func (m *mover) retry() {
	for _, ts := range []*targets{m.nativeTargets, m.libp2pTargets} {
		if t := ts.overdue(); t != nil {
			_ = m.reach(t) // it is noted

			return
		}
	}
}

// overdue returns a configured target that has failed and that nobody has dialed since its penalty
// was over, or nil.
func (ts *targets) overdue() *target {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()
	for _, addr := range ts.configured {
		if r := ts.records[addr.ID]; r.mayBeDown() && !r.isTroubled() && !ts.blocked(*addr) {
			return &target{side: ts, addr: *addr, configured: true, record: r}
		}
	}

	return nil
}

// reach connects to a configured target, and notes whether it accepts connections. Whether it takes
// a node shows in the search for that.
func (m *mover) reach(t *target) error {
	ctx, cancel := context.WithTimeout(m.ctx, m.pairTimeout)
	defer cancel()
	begun := time.Now()
	conn, err := m.connect(ctx, t)
	if err != nil {
		m.journal.attempt(m.sideOf(t.side), t.addr, dialer{id: m.key.ID(), stranger: true}, err)
		t.side.note(t.addr.ID, begun, func(r record) record { return r.after(judge(m.ctx, err), true) })

		return err
	}
	_ = conn.Close() // nothing was sent
	t.side.note(t.addr.ID, begun, func(r record) record {
		r.accepts = true

		return r
	})

	return nil
}

// note changes the record of a target, unless more was heard of it since the time.
func (ts *targets) note(id types.ID, since time.Time, change func(record) record) {
	ts.inUse.mtx.Lock()
	defer ts.inUse.mtx.Unlock()
	if r := ts.records[id]; !since.Before(r.heard) {
		ts.records[id] = change(r)
	}
}

// connect connects to a native target over TCP. A libp2p target, which may listen over QUIC only,
// proves its ID as well, and answers: a connection to it may be open that has long been dead.
func (m *mover) connect(ctx context.Context, t *target) (net.Conn, error) {
	if t.side == m.libp2pTargets {
		return m.ping(ctx, t.addr)
	}
	sockets := m.dialSockets()

	return dialnames.Dial(ctx, t.addr, func(ctx context.Context, at types.NetAddress) (net.Conn, error) {
		return sockets.DialContext(ctx, "tcp", at.DialString())
	})
}

// ping opens a stream to a libp2p node on which it has answered, if only that it knows no ping.
func (m *mover) ping(ctx context.Context, addr types.NetAddress) (net.Conn, error) {
	conn, err := m.libp2p.Load().OpenStream(ctx, addr, ping.ID)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	sent := make([]byte, ping.PingSize)
	if _, err = conn.Write(sent); err == nil {
		_, err = io.ReadFull(conn, sent)
	}
	if err != nil && !errors.Is(err, lp2p.ErrUnsupported) {
		return nil, errors.Join(fmt.Errorf("no answer: %w", err), conn.Close())
	}

	return conn, nil
}
