package mconn

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const fuzzBudget = 6000

// fuzzReader returns a reader that is not started.
func fuzzReader(t *testing.T, deliver func(ch byte, msg []byte)) *reader {
	t.Helper()

	config := unlimited()
	config.MaxRecvBufferBytes = fuzzBudget

	descs := []*compat.ChannelDescriptor{
		{ID: 0x20, Priority: 1, RecvMessageCapacity: 5000}, {ID: 0x40, Priority: 1, RecvMessageCapacity: 5000},
	}
	conn, _ := newMemConn(1)
	c, err := NewMConnectionWithConfig(conn, descs, deliver, func(error) {}, config)
	require.NoError(t, err)

	return newReader(c, c.started)
}

// FuzzReader gives arbitrary bytes to the reader, in reads of varying size. The
// limits hold for any input, and neither the messages nor the error depend on the
// size of the reads.
func FuzzReader(f *testing.F) {
	f.Add([]byte{}, byte(1))
	f.Add(whole(0x20, "hello"), byte(3))
	f.Add(append(piece(0x20, false, xs(1000)), piece(0x20, true, xs(24))...), byte(200))
	f.Add(repeat(6, piece(0x40, false, xs(1024))), byte(255))
	f.Add(append(wire.AppendPing(nil), wire.AppendPong(nil)...), byte(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, byte(4))

	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		atOnce, errAtOnce := fuzzRun(t, stream, maxReadBuffer)
		inSteps, errInSteps := fuzzRun(t, stream, 1+int(step))

		require.Equal(t, atOnce, inSteps)
		require.Equal(t, errAtOnce == nil, errInSteps == nil)
		if errAtOnce != nil {
			require.Equal(t, errAtOnce.Error(), errInSteps.Error())
		}

		var panicErr *PanicError
		require.False(t, errors.As(errAtOnce, &panicErr))
	})
}

func fuzzRun(t *testing.T, stream []byte, step int) ([]message, error) {
	t.Helper()

	var got []message
	r := fuzzReader(t, func(ch byte, msg []byte) {
		require.NotEmpty(t, msg)
		require.LessOrEqual(t, len(msg), 5000)
		got = append(got, message{ch, string(msg)})
	})

	source := bytes.NewReader(stream)
	for {
		space := r.buf.space(step)
		n, err := source.Read(space)
		if err == io.EOF {
			return got, nil
		}

		r.buf.filled(n, len(space), r.c.started)
		if err := r.deliverPackets(); err != nil {
			return got, err
		}

		used := 0
		for _, ch := range r.c.channels {
			used += ch.assembly.size
		}
		require.Equal(t, used, r.assembler.used)
		require.LessOrEqual(t, used, fuzzBudget)
		require.Less(t, len(r.buf.pending()), r.c.maxPacket, "no more than a part of a packet is left")
		r.assembler.updateDeadlines(r.c.started, 0)
	}
}
