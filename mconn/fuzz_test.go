package mconn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// The limits of the fuzzed reader are small, so that short inputs reach them. The fuzzer
// makes any input that it keeps shorter, in a time that grows with the cube of its length.
const (
	fuzzPayload  = 16
	fuzzCapacity = 50
	fuzzBudget   = 60
	fuzzStream   = 512
)

// fuzzReader returns a reader that is not started.
func fuzzReader(t *testing.T, deliver func(ch byte, msg []byte)) *reader {
	t.Helper()

	config := unlimited()
	config.MaxPacketMsgPayloadSize = fuzzPayload
	config.MaxRecvBufferBytes = fuzzBudget

	descs := []*compat.ChannelDescriptor{
		{ID: 0x20, Priority: 1, RecvMessageCapacity: fuzzCapacity}, {ID: 0x40, Priority: 1, RecvMessageCapacity: fuzzCapacity},
	}
	conn, _ := newMemConn(1)
	c, err := NewMConnectionWithConfig(conn, descs, deliver, func(error) {}, config)
	require.NoError(t, err)

	r := newReader(c, c.started)
	r.buf = readBuffer{buf: make([]byte, 8), max: 4 * c.maxPacket}

	return r
}

// FuzzReader gives arbitrary bytes to the reader, in reads of varying size. The
// limits hold for any input, and neither the messages nor the error depend on the
// size of the reads.
func FuzzReader(f *testing.F) {
	f.Add([]byte{}, byte(1))
	f.Add(whole(0x20, "hello"), byte(3))
	f.Add(append(piece(0x20, false, xs(10)), piece(0x20, true, xs(2))...), byte(20))
	f.Add(repeat(4, piece(0x40, false, xs(16))), byte(255))
	f.Add(append(piece(0x40, false, xs(16)), repeat(3, piece(0x20, false, xs(16)))...), byte(7))
	f.Add(append(wire.AppendPing(nil), wire.AppendPong(nil)...), byte(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, byte(4))

	f.Fuzz(func(t *testing.T, stream []byte, step byte) {
		stream = stream[:min(len(stream), fuzzStream)]
		atOnce, errAtOnce := fuzzRun(t, stream, fuzzStream)
		inSteps, errInSteps := fuzzRun(t, stream, 1+int(step))

		if !slices.Equal(atOnce, inSteps) || fmt.Sprint(errAtOnce) != fmt.Sprint(errInSteps) {
			t.Errorf("at once: %q, %v; in steps: %q, %v", atOnce, errAtOnce, inSteps, errInSteps)
		}

		if _, panicked := errors.AsType[*PanicError](errAtOnce); panicked {
			t.Error(errAtOnce)
		}
	})
}

func fuzzRun(t *testing.T, stream []byte, step int) ([]message, error) {
	t.Helper()

	var got []message
	r := fuzzReader(t, func(ch byte, msg []byte) {
		if len(msg) == 0 || len(msg) > fuzzCapacity {
			t.Errorf("a message of %d bytes", len(msg))
		}
		got = append(got, message{ch, string(msg)})
	})
	defer r.c.dropMessages()

	for len(stream) > 0 {
		space := r.buf.space(step)
		n := copy(space, stream)
		stream = stream[n:]

		r.buf.filled(n, len(space), r.c.started)
		if err := r.deliverPackets(); err != nil {
			return got, err
		}
		fuzzCheck(t, r)
		r.assembler.updateDeadlines(r.c.started, 0)
	}

	return got, nil
}

// fuzzCheck checks what the reader holds, after every read and so without testify.
func fuzzCheck(t *testing.T, r *reader) {
	t.Helper()

	used := 0
	for _, ch := range r.c.channels {
		used += ch.assembly.size
	}

	if used != r.assembler.used || used > fuzzBudget {
		t.Fatalf("%d bytes unfinished, %d counted", used, r.assembler.used)
	}
	if len(r.buf.pending()) >= r.c.maxPacket {
		t.Fatal("more than a part of a packet is left")
	}
}

// FuzzAssembler gives packets of any size on two channels to the assembler: two bytes say
// which channel, whether the message ends, and how many bytes the packet has. The messages
// come out as they went in, and what is held for unfinished ones is bounded.
func FuzzAssembler(f *testing.F) {
	packet := func(ch, size int, last bool) []byte {
		n := uint16(ch<<15 | size)
		if last {
			n |= 1 << 14
		}

		return binary.BigEndian.AppendUint16(nil, n)
	}
	f.Add(slices.Concat(packet(0, 4096, false), packet(1, 1, false), packet(0, 1, true), packet(1, 0, true)))
	f.Add(slices.Concat(packet(0, 16000, false), packet(0, 16000, false), packet(1, 4097, true), packet(0, 9, true)))
	f.Add(slices.Concat(packet(1, 16000, false), packet(1, 16000, false), packet(0, 16000, false)))

	payload := make([]byte, 1<<14)
	for i := range payload {
		payload[i] = byte(i >> 3)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		const limit = 40_000
		channels := make([]*channel, 2)
		for i := range channels {
			channels[i] = &channel{desc: compat.ChannelDescriptor{ID: byte(i), RecvMessageCapacity: limit}}
			defer channels[i].assembly.release()
		}
		a := assembler{channels: channels, budget: limit}
		want := make([][]byte, len(channels))
		for script = script[:min(len(script), 64)]; len(script) > 1; script = script[2:] {
			n := binary.BigEndian.Uint16(script)
			i, last := n>>15, n&(1<<14) != 0
			packet := wire.Packet{EOF: last, Payload: payload[:n&(1<<14-1)]}
			msg, buf, err := a.add(channels[i], packet)
			if err != nil {
				return
			}
			want[i] = append(want[i], packet.Payload...)
			if (msg != nil) != last || last && !bytes.Equal(msg, want[i]) {
				t.Fatalf("a message of %d bytes came out as one of %d", len(want[i]), len(msg))
			}
			if last {
				want[i] = nil
			}
			if buf != nil {
				buf.release()
			}
			if used := len(want[0]) + len(want[1]); a.used != used || heldBy(channels) > used+used/8+2*4096 {
				t.Fatalf("%d bytes are held and %d counted for %d", heldBy(channels), a.used, used)
			}
		}
	})
}
