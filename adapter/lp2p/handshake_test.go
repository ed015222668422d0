package lp2p

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestHelloIsChecked(t *testing.T) {
	n := newNode(t, nil)
	r := newRaw(t)
	good := r.hello(control.NewEpoch())
	other := nodeInfo(n.key.ID())
	foreign, err := other.MarshalBinary()
	require.NoError(t, err)
	empty, err := func() ([]byte, error) {
		info := r.info
		info.Moniker = ""

		return info.MarshalBinary()
	}()
	require.NoError(t, err)

	for name, test := range map[string]struct {
		say  any
		code compat.RejectCode
	}{
		"not protobuf":      {message(0xff, 0xff, 0xff), compat.RejectInvalid},
		"empty message":     {[]byte{0}, compat.RejectInvalid},
		"unknown kind":      {message(0x7a, 0), compat.RejectInvalid},
		"other kind":        {&control.Reject{}, compat.RejectInvalid},
		"above the limit":   {protowire.AppendVarint(nil, control.MaxSize), compat.RejectInvalid},
		"endless length":    {bytes.Repeat([]byte{0xff}, 11), compat.RejectInvalid},
		"version":           {&control.Hello{Version: control.HostVersion + 1}, compat.RejectIncompatible},
		"no node info":      {&control.Hello{Version: 1}, compat.RejectInvalid},
		"invalid node info": {&control.Hello{Version: 1, NodeInfo: empty}, compat.RejectInvalid},
		"foreign node info": {&control.Hello{Version: 1, NodeInfo: foreign}, compat.RejectIdentity},
		"large node info": {
			&control.Hello{Version: 1, NodeInfo: make([]byte, types.MaxNodeInfoSize)}, compat.RejectInvalid,
		},
		"trailing field": {
			message(append(control.AppendBytes(nil, control.KindHello, good.AppendBody(nil)), 0x28, 1)...), compat.RejectInvalid,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.connect(n) // one for each case, since one with many refusals is closed
			defer c.Close()
			m, err := r.say(r.open(c, false), test.say)
			require.NoError(t, err)
			require.IsType(t, &control.Reject{}, m)
			require.Equal(t, test.code, m.(*control.Reject).Code, m.(*control.Reject).Text)
		})
	}
	noPending(t, n)
}

func TestTruncatedHello(t *testing.T) {
	n := newNode(t, nil)
	r := newRaw(t)
	s := r.open(r.connect(n), false)
	b := control.Append(nil, r.hello(control.NewEpoch()))
	_, err := s.Write(b[:len(b)-1])
	require.NoError(t, err)
	require.NoError(t, s.CloseWrite())
	_, err = control.Read(s)
	require.Error(t, err)
	noPending(t, n)
}

func TestSlowHello(t *testing.T) {
	t.Parallel()
	n := newNode(t, nil, shortHandshake(shortWait))
	r := newRaw(t)
	s := r.open(r.connect(n), false)
	b := control.Append(nil, r.hello(control.NewEpoch()))
	_, err := s.Write(b[:10])
	require.NoError(t, err)
	requireReset(t, s)
}

// handshakesOf starts handshakes that send nothing, and waits until the node runs them all,
// each before the next.
func handshakesOf(t *testing.T, n *node, r *raw, c network.Conn, count int) (streams []*stream.Stream) {
	t.Helper()
	for range count {
		before := n.handshakes.places.Taken()
		streams = append(streams, announced(t, r.open(c, false)))
		require.Eventually(t, func() bool { return n.handshakes.places.Taken() > before }, patience, time.Millisecond)
	}

	return streams
}

// No more handshakes run than may. In all, and of one IP, the oldest of a crowd gives way to a
// new one; a peer at its limit is refused.
func TestHandshakeCaps(t *testing.T) {
	for name, change := range map[string]func(*Limits){
		"total":    func(l *Limits) { l.Handshakes = 3 },
		"per IP":   func(l *Limits) { l.HandshakesPerIP = 3 },
		"per peer": func(l *Limits) { l.HandshakesPerPeer = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			limits := DefaultLimits()
			change(&limits)
			n := newNode(t, nil, WithLimits(limits))
			n.acceptLoop(t)
			r := newRaw(t)
			c := r.connect(n)
			streams := handshakesOf(t, n, r, c, 3)
			last := announced(t, r.open(c, false))
			if name == "per peer" {
				requireReset(t, last)
			} else {
				requireReset(t, streams[0])
			}
			require.Equal(t, 3, n.handshakes.places.Taken())

			a := newNode(t, nil)
			p, err := a.dial(t, n)
			require.NoError(t, err)
			a.Remove(p)
		})
	}
}

// announced writes one byte, so that the remote sees the stream.
func announced(t *testing.T, s *stream.Stream) *stream.Stream {
	_, err := s.Write([]byte{100})
	require.NoError(t, err)

	return s
}

func TestSessionsPerPeer(t *testing.T) {
	limits := DefaultLimits()
	limits.SessionsPerPeer = 2
	n := newNode(t, nil, WithLimits(limits), patientGoodbye())
	r := newRaw(t)
	c, ctrl, _, p := r.session(n)
	_, _, _, _ = r.session(n)
	m, err := r.say(r.open(c, false), r.hello(control.NewEpoch()))
	require.NoError(t, err)
	require.Equal(t, compat.RejectFull, m.(*control.Reject).Code)

	// When one ends there is room for another.
	require.NoError(t, p.Stop())
	goodbyeOf(t, ctrl)
	require.NoError(t, ctrl.CloseWrite())
	require.Eventually(t, func() bool {
		n.sessions.mtx.Lock()
		defer n.sessions.mtx.Unlock()

		return n.sessions.inbound[r.host.ID()] == 1
	}, patience, time.Millisecond)
	r.session(n)
}

func TestEpochIsNotReplayed(t *testing.T) {
	n := newNode(t, nil)
	r := newRaw(t)
	c, _, e, _ := r.session(n)
	m, err := r.say(r.open(c, false), r.hello(e))
	require.NoError(t, err)
	require.Equal(t, control.Reject{Code: compat.RejectInvalid, Text: "epoch is in use"}, *m.(*control.Reject))

	// Another peer may use the same epoch.
	other := newRaw(t)
	ctrl := other.open(other.connect(n), false)
	done := make(chan error, 1)
	go func() {
		p, err := n.AcceptPending(timeout(t))
		if err == nil {
			err = p.Reject(compat.Reject(compat.RejectFull, ""))
		}
		done <- err
	}()
	m, err = other.say(ctrl, other.hello(e))
	require.NoError(t, err)
	require.Equal(t, compat.RejectFull, m.(*control.Reject).Code)
	require.NoError(t, <-done)
}

// The dialer refuses invalid answers of a listener.
func TestAnswerIsChecked(t *testing.T) {
	r := newRaw(t)
	addr := r.listen()
	info, err := r.info.MarshalBinary()
	require.NoError(t, err)
	foreign, err := nodeInfo(types.GenerateNodeKey().ID()).MarshalBinary()
	require.NoError(t, err)

	for name, test := range map[string]struct {
		answer func(h *control.Hello) []byte
		check  func(error)
	}{
		"garbage": {
			func(*control.Hello) []byte { return message(0xff) },
			func(err error) { require.ErrorIs(t, err, control.ErrProtocol) },
		},
		"too large": {
			func(*control.Hello) []byte { return protowire.AppendVarint(nil, 1<<30) },
			func(err error) { require.ErrorIs(t, err, control.ErrProtocol) },
		},
		"another hello": {
			func(h *control.Hello) []byte { return control.Append(nil, h) },
			func(err error) { require.ErrorIs(t, err, control.ErrProtocol) },
		},
		"another epoch": {
			func(*control.Hello) []byte {
				return control.Append(nil, &control.Accept{Epoch: control.NewEpoch(), NodeInfo: info})
			},
			func(err error) { require.ErrorIs(t, err, control.ErrProtocol) },
		},
		"another node": {
			func(h *control.Hello) []byte {
				return control.Append(nil, &control.Accept{Epoch: h.Epoch, NodeInfo: foreign})
			},
			func(err error) { require.Equal(t, compat.RejectIdentity, rejectOf(t, err).Code) },
		},
		"long text": {
			func(*control.Hello) []byte {
				return message(control.AppendBytes(nil, control.KindReject, control.AppendBytes(nil, 2, make([]byte, control.MaxReasonText+1)))...)
			},
			func(err error) { require.ErrorIs(t, err, control.ErrProtocol) },
		},
		"nothing": {
			func(*control.Hello) []byte { return nil },
			func(err error) { require.ErrorContains(t, err, "ended the session handshake") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, nil)
			r.host.SetStreamHandler(SessionProtocol, func(s network.Stream) {
				m, err := control.Read(s)
				if h, ok := m.(*control.Hello); err == nil && ok {
					_, _ = s.Write(test.answer(h))
				}
				_ = s.CloseWrite()
			})
			_, err := n.Dial(timeout(t), addr, n.behavior)
			require.Error(t, err)
			test.check(err)
		})
	}
}

// A data stream that fails while the dialer's handshake runs does not end it: the goodbye that
// follows the Accept has the reason.
func TestStreamFailsDuringTheHandshake(t *testing.T) {
	for name, end := range map[string]func(*session){
		"reset": func(s *session) { s.dataFailed(errors.New("a data stream was reset")) },
		"end":   func(s *session) { s.dataEnded(chA) },
	} {
		t.Run(name, func(t *testing.T) { testStreamEnds(t, end) })
	}
}

func testStreamEnds(t *testing.T, end func(*session)) {
	n, r := newNode(t, nil), newRaw(t)
	info, err := r.info.MarshalBinary()
	require.NoError(t, err)
	r.host.SetStreamHandler(SessionProtocol, func(s network.Stream) {
		m, err := control.Read(s)
		h, ok := m.(*control.Hello)
		if err != nil || !ok {
			return
		}
		n.sessions.mtx.Lock()
		active := n.sessions.active()
		n.sessions.mtx.Unlock()
		for _, dialing := range active {
			end(dialing)
		}
		answer := control.Append(nil, &control.Accept{Epoch: h.Epoch, NodeInfo: info})
		_, _ = s.Write(append(answer, control.Append(nil, &control.Goodbye{Code: compat.RejectDuplicate})...))
	})
	p, err := n.Dial(timeout(t), r.listen(), n.behavior)
	require.NoError(t, err)
	if err = p.Start(); err == nil {
		err = n.failure(t).err
	}
	require.Equal(t, compat.RejectDuplicate, rejectOf(t, err).Code)
}

// Whoever is refused all the time loses the connection, though another handshake on it is not over,
// and pays for a new one.
func TestManyRefusedHandshakesEndTheConnection(t *testing.T) {
	timeouts := patientTimeouts()
	timeouts.Handshake = 2 * patience
	n, r := newNode(t, nil, WithTimeouts(timeouts)), newRaw(t)
	hello := r.hello(control.NewEpoch())
	hello.Version++
	c := r.connect(n)
	_, err := r.open(c, false).Write([]byte{1}) // of a message that does not come
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		n.Transport.mtx.Lock()
		defer n.Transport.mtx.Unlock()

		return len(n.conns) == 1
	}, patience, time.Millisecond)
	for range maxRefused {
		require.False(t, c.IsClosed())
		s := r.open(c, false)
		m, err := r.say(s, hello)
		require.NoError(t, err)
		require.IsType(t, &control.Reject{}, m)
		require.NoError(t, s.Close())
	}
	require.Eventually(t, c.IsClosed, patience, time.Millisecond)
}

func TestNoSessionProtocol(t *testing.T) {
	n, r := newNode(t, nil), newRaw(t)
	_, err := n.Dial(timeout(t), r.listen(), n.behavior)
	require.ErrorIs(t, err, ErrNoSessions)
}

// All questions that count as handshakes are refused by the same code, as busy.
func TestBusyIsOneCode(t *testing.T) {
	n, r := newNode(t, nil, WithRelayService(DefaultRelayLimits())), newRaw(t)
	c := r.connect(n)
	n.handshakes.mtx.Lock()
	n.handshakes.perPeer = 0
	n.handshakes.mtx.Unlock()
	for _, id := range []protocol.ID{SessionProtocol, NodeInfoProtocol, RelayedProtocol} {
		s, err := stream.Open(timeout(t), c, id)
		require.NoError(t, err)
		_, err = s.Read(make([]byte, 1))
		require.True(t, stream.IsResetWith(err, network.StreamRateLimited), "%s: %v", id, err)
	}
}

func TestManyNodesOnOneIP(t *testing.T) {
	n := newNode(t, nil)
	n.acceptLoop(t)
	const nodes = 60
	errs := make(chan error, nodes)
	for range nodes {
		a := newNode(t, nil)
		go func() {
			p, err := a.Dial(timeout(t), n.NetAddress(), a.behavior)
			if err == nil {
				err = p.Start()
			}
			if err == nil && !p.Send(chA, []byte("here")) {
				err = errors.New("not sent")
			}
			if err != nil {
				err = fmt.Errorf("node %s: %w", a.key.ID(), err)
			}
			errs <- err
		}()
	}
	for range nodes {
		require.NoError(t, <-errs)
	}
	n.reactor.await(t, nodes)
}
