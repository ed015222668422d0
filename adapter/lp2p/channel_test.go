package lp2p

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// broken checks how a node ends a session that the remote has violated.
func broken(t *testing.T, n *node, ctrl *stream.Stream, text string) {
	t.Helper()
	f := n.failure(t)
	require.ErrorIs(t, f.err, control.ErrProtocol)
	require.ErrorContains(t, f.err, text)
	g := goodbyeOf(t, ctrl)
	require.Equal(t, compat.RejectInvalid, g.Code)
	require.Contains(t, g.Text, text)
	stopped(t, f.peer.(*Peer))
}

func TestRemoteViolations(t *testing.T) {
	sizes := func(n uint64) []byte { return protowire.AppendVarint(nil, n) }
	for name, test := range map[string]struct {
		channel byte
		data    []byte
		text    string
	}{
		"unknown channel": {0x99, nil, "unknown channel"},
		"empty message":   {chA, []byte{0}, "empty message"},
		"oversize":        {chA, sizes(2<<20 + 1), "limit 2097152"},
		"huge":            {chA, sizes(1 << 62), "limit 2097152"},
		"endless length":  {chA, bytes.Repeat([]byte{0xff}, 11), "above 64 bits"},
	} {
		t.Run(name, func(t *testing.T) {
			n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
			c, ctrl, e, _ := r.session(n)
			r.data(c, e, test.channel, test.data...)
			broken(t, n, ctrl, test.text)
		})
	}
}

// A channel that nobody serves although the NodeInfo promises it costs no connection.
func TestUnservedChannelIsDropped(t *testing.T) {
	for name, opts := range map[string][]Option{"TCP": nil, "QUIC": {WithQUICOnly()}} {
		t.Run(name, func(t *testing.T) {
			a, b := newNode(t, nil, opts...), newNode(t, nil, append(opts, WithChannels())...)
			b.descs = b.descs[1:] // without chA, which its NodeInfo names
			require.Equal(t, streamsFor(3), b.opts.budget.streams, "there is room for the streams")
			pa, _ := connect(t, a, b)
			for _, size := range []int{1, 100_000, 1} {
				require.True(t, pa.Send(chA, make([]byte, size)))
			}
			require.True(t, pa.Send(chB, []byte("served")))
			b.reactor.await(t, 1)
			pa.FlushStop() // waits until b has received everything

			var bye *GoodbyeError
			require.ErrorAs(t, b.failure(t).err, &bye)
			require.Empty(t, b.failures)
			require.Empty(t, b.reactor.on(chA))
		})
	}
}

func TestSecondStream(t *testing.T) {
	n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
	c, ctrl, e, _ := r.session(n)
	r.data(c, e, chA, message('x')...)
	n.reactor.await(t, 1)
	r.data(c, e, chA, message('y')...)
	broken(t, n, ctrl, "second stream")
	require.Len(t, n.reactor.on(chA), 1)
}

func TestUnknownEpochResetsTheStreamOnly(t *testing.T) {
	n, r := newNode(t, nil), newRaw(t)
	c, _, e, _ := r.session(n)
	requireReset(t, r.data(c, control.NewEpoch(), chA))
	requireReset(t, r.data(newRaw(t).connect(n), e, chA)) // another peer's
	r.data(c, e, chA, message('x')...)
	n.reactor.await(t, 1)
	require.Empty(t, n.failures)
}

func TestSlowHeader(t *testing.T) {
	t.Parallel()
	n, r := newNode(t, nil, shortHandshake(shortWait)), newRaw(t)
	c, _, e, _ := r.session(n)
	s := r.open(c, true)
	_, err := s.Write(e[:5])
	require.NoError(t, err)
	requireReset(t, s)
	require.Empty(t, n.failures)
}

func TestAssemblyTimeout(t *testing.T) {
	for name, data := range map[string][]byte{
		"length": {0x80},
		"small":  append(protowire.AppendVarint(nil, 100), 'x'),
		"large":  append(protowire.AppendVarint(nil, 100_000), 'x'),
	} {
		t.Run(name, func(t *testing.T) {
			timeouts := patientTimeouts()
			timeouts.Assembly, timeouts.Linger = 50*time.Millisecond, patience
			n, r := newNode(t, nil, WithTimeouts(timeouts)), newRaw(t)
			c, ctrl, e, _ := r.session(n)
			// Between messages there is no deadline.
			s := r.data(c, e, chA, message('x')...)
			n.reactor.await(t, 1)
			_, err := s.Write(data)
			require.NoError(t, err)
			broken(t, n, ctrl, "not complete after 50ms")
		})
	}
}

func TestTruncatedMessage(t *testing.T) {
	for name, data := range map[string][]byte{
		"length": {0x80},
		"small":  append(protowire.AppendVarint(nil, 100), 'x'),
		"large":  append(protowire.AppendVarint(nil, 100_000), 'x'),
	} {
		t.Run(name, func(t *testing.T) {
			n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
			c, ctrl, e, _ := r.session(n)
			require.NoError(t, r.data(c, e, chA, data...).CloseWrite())
			broken(t, n, ctrl, "inside a message")
		})
	}
}

func TestStreamEndsWithoutGoodbye(t *testing.T) {
	n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
	c, ctrl, e, _ := r.session(n)
	require.NoError(t, r.data(c, e, chA, message('x')...).CloseWrite())
	broken(t, n, ctrl, "without a goodbye")
	require.Len(t, n.reactor.on(chA), 1)
}

func TestPartialBudget(t *testing.T) {
	n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
	for _, d := range n.descs {
		d.RecvMessageCapacity = 32 << 20
	}
	c, ctrl, e, _ := r.session(n)
	for _, ch := range []byte{chA, chB, chC} {
		s := r.data(c, e, ch, protowire.AppendVarint(nil, 15<<20)...)
		go func() { _, _ = s.Write(make([]byte, 14<<20)) }() // ends with the stream
	}
	require.NotErrorIs(t, errAssembly, compat.ErrViolation, "an honest sender's messages may wait in the windows")
	broken(t, n, ctrl, "unfinished messages")
}

func TestMaximumMessage(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	for _, d := range b.descs {
		d.RecvMessageCapacity = maxSendBytes
	}
	pa, _ := connect(t, a, b)
	msg := bytes.Repeat([]byte{1, 2, 3, 4}, maxSendBytes/4)
	require.True(t, pa.Send(chA, msg))
	require.True(t, pa.Send(chA, []byte("next")))
	b.reactor.await(t, 2)
	require.True(t, bytes.Equal(msg, b.reactor.on(chA)[0]))
	require.Zero(t, b.failuresLen())
}

func (b *behavior) failuresLen() int { return len(b.failures) }

func TestDataOnOurStream(t *testing.T) {
	n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
	got := make(chan *stream.Stream, 1)
	r.host.SetStreamHandler(ChannelProtocol, func(s networkStream) { got <- stream.Inbound(s) })
	_, ctrl, _, p := r.session(n)
	require.True(t, p.Send(chA, []byte("x")))
	_, err := (<-got).Write([]byte("?"))
	require.NoError(t, err)
	broken(t, n, ctrl, "data on our stream")
}

// A stream that the remote refuses ends the session, even if nothing more is sent.
func TestRefusedStreamEndsTheSession(t *testing.T) {
	n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
	r.host.SetStreamHandler(ChannelProtocol, func(s networkStream) { _ = s.Reset() })
	_, ctrl, _, p := r.session(n)
	require.True(t, p.Send(chA, []byte("x")))
	require.ErrorContains(t, n.failure(t).err, "stream of channel 0x20 failed")
	goodbyeOf(t, ctrl)
}

// Data that arrives before the start of the peer, or even before the accept, waits.
func TestParkedStreams(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	accepted := make(chan *Peer, 1)
	go func() {
		p, err := b.Accept(timeout(t), b.behavior)
		if err == nil && p.Start() == nil {
			for range 10 {
				p.Send(chA, []byte("early"))
			}
		}
		accepted <- p.(*Peer)
	}()
	pa, err := a.dial(t, b)
	require.NoError(t, err)
	<-accepted
	require.Eventually(t, func() bool {
		pa.s.mtx.Lock()
		defer pa.s.mtx.Unlock()

		return len(pa.s.inbound) == 1
	}, patience, time.Millisecond)
	require.Zero(t, a.reactor.count())
	require.NoError(t, pa.Start())
	a.reactor.await(t, 10)
	require.Empty(t, a.failures)
}

func TestControlViolations(t *testing.T) {
	for name, test := range map[string]struct {
		say  []byte
		text string
	}{
		"garbage":         {message(0xff, 1), "control message"},
		"hello":           {control.Append(nil, &control.Hello{Version: control.HostVersion + 1}), "after the handshake"},
		"answer unasked":  {control.Append(nil, &control.Goodbye{Answer: true}), "answer without a goodbye"},
		"too large":       {protowire.AppendVarint(nil, 1<<20), "size limit"},
		"many channels":   {control.Append(nil, &control.Goodbye{Counts: make([]control.ChannelCount, 17)}), "Goodbye"},
		"unsorted counts": {control.Append(nil, &control.Goodbye{Counts: []control.ChannelCount{{Channel: 2, Messages: 1}, {Channel: 1, Messages: 1}}}), "out of order"},
	} {
		t.Run(name, func(t *testing.T) {
			n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
			_, ctrl, _, _ := r.session(n)
			_, err := ctrl.Write(test.say)
			require.NoError(t, err)
			broken(t, n, ctrl, test.text)
		})
	}
}

// The example of docs/sessions.md.
func TestDataStreamBytes(t *testing.T) {
	n, r := newNode(t, nil, patientGoodbye()), newRaw(t)
	got := make(chan *stream.Stream, 1)
	r.host.SetStreamHandler(ChannelProtocol, func(s networkStream) { got <- stream.Inbound(s) })
	_, _, e, p := r.session(n)
	require.True(t, p.Send(chA, []byte("hi")))
	require.True(t, p.Send(chA, []byte("yo")))

	s := <-got
	require.NoError(t, s.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 16+1+3+3)
	_, err := io.ReadFull(s, b)
	require.NoError(t, err)
	require.Equal(t, append(e[:], 0x20, 2, 'h', 'i', 2, 'y', 'o'), b)
}
