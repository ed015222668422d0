package lp2p

import (
	"bytes"
	"encoding/binary"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// memStream is a data stream in memory, whose bytes arrive in pieces.
type memStream struct {
	network.Stream
	conn  network.Conn
	data  []byte
	piece int
}

func (s *memStream) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.data[:min(len(s.data), s.piece)])
	s.data = s.data[n:]

	return n, nil
}

func (s *memStream) Conn() network.Conn              { return s.conn }
func (*memStream) SetReadDeadline(_ time.Time) error { return nil }

// memMux is the connection of memStreams.
type memMux struct{ network.Conn }

func (memMux) RemotePeer() peer.ID { return "remote" }
func (memMux) RemoteMultiaddr() multiaddr.Multiaddr {
	return multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")
}
func (memMux) Stat() network.ConnStats { return network.ConnStats{} }
func (memMux) As(any) bool             { return false }
func (memMux) IsClosed() bool          { return false }

// memChannel returns a channel of a running session that receives these bytes.
func memChannel(t *testing.T, capacity int, data []byte, piece int) (*channelIn, *recorder) {
	o, err := newOptions(nil)
	require.NoError(t, err)
	tr := &Transport{opts: o, logger: slog.New(slog.DiscardHandler), buffers: newBufferPool()}
	b := newBehavior()
	b.descs = []*compat.ChannelDescriptor{{ID: chA, Priority: 1, RecvMessageCapacity: capacity}}
	s := newSession(tr, memMux{}, nil, control.NewEpoch(), false, nil, b)
	id := types.GenerateNodeKey().ID()
	s.out = newOutbox(s, nil)
	s.peer = newPeer(s, remoteInfo{id: id, node: nodeInfo(id)}, nil)
	require.NoError(t, s.peer.Start())
	c, err := s.attach(chA, stream.Inbound(&memStream{conn: memMux{}, data: data, piece: piece}))
	require.NoError(t, err)

	return c, b.reactor
}

// expand makes a long stream of a short input: after two bytes 0xff, a third one says how
// often 256 bytes follow.
func expand(script []byte) (data []byte) {
	for len(script) > 0 {
		if len(script) >= 3 && script[0] == 0xff && script[1] == 0xff {
			data = append(data, bytes.Repeat([]byte{script[2]}, 256*int(script[2]))...)
			script = script[3:]
		} else {
			data, script = append(data, script[0]), script[1:]
		}
	}

	return data
}

// messagesIn reads a stream as docs/sessions.md says, and reports whether it ends between
// two messages.
func messagesIn(data []byte, capacity int) (msgs [][]byte, whole bool) {
	for len(data) > 0 {
		size, n := binary.Uvarint(data)
		if n <= 0 || size == 0 || size > uint64(capacity) || uint64(len(data)-n) < size {
			return msgs, false
		}
		msgs = append(msgs, data[n:n+int(size)])
		data = data[n+int(size):]
	}

	return msgs, true
}

// FuzzDataStream shows that any bytes of a remote are the messages that they encode, or a
// violation, and leave no memory taken.
func FuzzDataStream(f *testing.F) {
	const capacity = 48 << 10
	large := binary.AppendUvarint(nil, 160<<8)
	f.Add([]byte("\x01a\x02bc"), uint16(1))
	f.Add([]byte("\x03ab"), uint16(7))
	f.Add([]byte{0}, uint16(1))
	f.Add(bytes.Repeat([]byte{0x80}, 11), uint16(3))
	f.Add(append(append([]byte{}, large...), 0xff, 0xff, 160, 1, 'x'), uint16(5000))
	f.Add(append(append([]byte{}, large...), 0xff, 0xff, 159), uint16(1000))
	f.Fuzz(func(t *testing.T, script []byte, piece uint16) {
		data := expand(script)
		want, whole := messagesIn(data, capacity)
		c, reactor := memChannel(t, capacity, data, 1+int(piece))
		var err error
		for err == nil {
			err = c.next()
		}
		if c.timer != nil {
			c.timer.Stop()
		}
		if whole {
			require.True(t, stream.IsEnd(err), "%v", err)
		} else {
			require.ErrorIs(t, err, control.ErrProtocol)
		}
		require.Equal(t, len(want), int(c.delivered.Load()))
		for i, got := range reactor.on(chA) {
			require.Equal(t, want[i], got)
		}
		require.Zero(t, c.s.assembly.used)
		require.Zero(t, c.s.assembly.complete)
		require.Zero(t, c.large.got)
		require.LessOrEqual(t, c.s.t.buffers.idle, maxIdle)
	})
}
