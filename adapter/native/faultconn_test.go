package native

import (
	"bytes"
	"crypto/ed25519"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

// What one side sends in the handshake, in bytes.
const (
	authEnd      = ephemeralSize + frameSize
	handshakeEnd = authEnd + frameSize
)

// end is one end of a connection.
type end struct {
	mt   *MultiplexTransport
	b    *behavior
	conn *linkConn
	peer compat.PeerConn
	err  error
}

// meeting is a connection of a transport under test with an honest one. What the
// honest one sends goes through a fault.
type meeting struct {
	under, honest *end
	begun         time.Time
}

// fixedKeys are the same in every process, as inputs found by fuzzing need.
var fixedKeys = [2]*types.NodeKey{fixedKey(1), fixedKey(2)}

func fixedKey(b byte) *types.NodeKey {
	return &types.NodeKey{PrivKey: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, ed25519.SeedSize))}
}

func newEnd(t *testing.T, i int, conn *linkConn) *end {
	t.Helper()
	key := fixedKeys[i]
	mt := NewMultiplexTransport(nodeInfo(key.ID(), "net"), *key, mconn.DefaultMConnConfig(), nil)

	return &end{mt: mt, b: newBehavior(), conn: conn}
}

func (e *end) address() *types.NetAddress {
	return &types.NetAddress{ID: e.mt.nodeKey.ID(), IP: e.conn.local.IP, Port: uint16(e.conn.local.Port)}
}

// meet lets both sides do the handshake through the fault, inside a bubble.
func meet(t *testing.T, outbound bool, f fault) *meeting {
	t.Helper()
	near, far := newLink(addrA, addrB)
	f.install(near.in)
	m := &meeting{under: newEnd(t, 0, near), honest: newEnd(t, 1, far), begun: time.Now()}

	dialed, dialedBack := m.honest.address(), (*types.NetAddress)(nil)
	if !outbound {
		dialed, dialedBack = nil, m.under.address()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.honest.peer, m.honest.err = establish(t, m.honest.mt, far, dialedBack, m.honest.b)
	}()
	m.under.peer, m.under.err = establish(t, m.under.mt, near, dialed, m.under.b)
	<-done

	return m
}

// startGap is how much earlier the side under test starts, so that it is the first
// one to find a silence too long.
const startGap = time.Second

// start starts both peers.
func (m *meeting) start(t *testing.T) {
	t.Helper()
	require.NoError(t, m.under.err)
	require.NoError(t, m.honest.err)
	require.NoError(t, m.under.peer.Start())
	<-time.After(startGap)
	require.NoError(t, m.honest.peer.Start())
}

// finish closes both transports; nothing of them may be left, which the bubble
// checks.
func (m *meeting) finish(t *testing.T) {
	t.Helper()
	for _, e := range []*end{m.under, m.honest} {
		require.NoError(t, e.mt.Close())
		require.True(t, e.conn.closed())
	}
}

// inBothRoles runs a test in a bubble for each role of the side under test.
func inBothRoles(t *testing.T, test func(t *testing.T, outbound bool)) {
	t.Helper()
	for role, outbound := range map[string]bool{"dialer": true, "listener": false} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			test(t, outbound)
		})
	}
}

// endOfStream is the error of a stream that ends after n bytes.
func endOfStream(n int) error {
	if n == 0 || n >= ephemeralSize && (n-ephemeralSize)%frameSize == 0 {
		return io.EOF
	}

	return io.ErrUnexpectedEOF
}

// requireStep checks the error of a handshake: its cause and the step it names.
func requireStep(t *testing.T, n int, err, cause error) {
	t.Helper()
	require.ErrorIs(t, err, cause, "after %d bytes", n)
	var he *HandshakeError
	require.ErrorAs(t, err, &he)
	step := "secret connection"
	if n >= authEnd {
		step = "node info"
	}
	require.Equal(t, step, he.Step, "after %d bytes", n)
}

var everyByte = flag.Bool("everybyte", false, "end streams after every byte, not after some inside of a frame")

// endsAfter reports whether a role is tested with a stream that ends after n bytes: the edges of
// messages always. What lies between is sealed, and its bytes are alike, so that one of eight does,
// another one for each role, unless -everybyte is given.
func endsAfter(n int, outbound bool) bool {
	inFrame := (n + frameSize - ephemeralSize) % frameSize
	edge := n <= ephemeralSize || inFrame < 6 || inFrame > frameSize-18
	turn := 0
	if outbound {
		turn = 4
	}

	return edge || n%8 == turn || *everyByte
}

func TestHandshakeTruncated(t *testing.T) {
	t.Parallel()
	inBothRoles(t, func(t *testing.T, outbound bool) {
		for n := range handshakeEnd {
			if !endsAfter(n, outbound) {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				m := meet(t, outbound, truncated(n))
				requireStep(t, n, m.under.err, endOfStream(n))
				require.Nil(t, m.under.peer)
				require.Zero(t, time.Since(m.begun), "it ends at once")
				m.finish(t)
			})
		}
	})
}

func TestHandshakeResets(t *testing.T) {
	t.Parallel()
	inBothRoles(t, func(t *testing.T, outbound bool) {
		for _, n := range []int{0, 1, 34, 35, 36, authEnd - 1, authEnd, authEnd + 1, handshakeEnd - 1} {
			synctest.Test(t, func(t *testing.T) {
				m := meet(t, outbound, reset(n))
				requireStep(t, n, m.under.err, syscall.ECONNRESET)
				require.Zero(t, time.Since(m.begun))
				m.finish(t)
			})
		}
	})
}

// A stalled handshake ends with the deadline of its step, not before and not
// later.
func TestHandshakeStalls(t *testing.T) {
	t.Parallel()
	inBothRoles(t, func(t *testing.T, outbound bool) {
		for _, n := range []int{0, 1, 34, 35, 36, authEnd - 1, authEnd, authEnd + 1, handshakeEnd - 1} {
			synctest.Test(t, func(t *testing.T) {
				m := meet(t, outbound, stalled(n))
				requireStep(t, n, m.under.err, os.ErrDeadlineExceeded)
				require.Equal(t, HandshakeTimeout, time.Since(m.begun))
				m.finish(t)
			})
		}
	})
}

// A slow peer is served within the deadlines and dropped at them.
func TestHandshakeDrips(t *testing.T) {
	t.Parallel()
	inBothRoles(t, func(t *testing.T, outbound bool) {
		synctest.Test(t, func(t *testing.T) {
			m := meet(t, outbound, dripping(2*time.Millisecond))
			m.start(t)
			require.True(t, m.honest.peer.Send(chA, []byte("slowly")))
			require.Equal(t, received{chA, "slowly"}, next(t, m.under.b.messages))
			m.finish(t)
		})
		synctest.Test(t, func(t *testing.T) {
			m := meet(t, outbound, dripping(3*time.Millisecond))
			requireStep(t, 0, m.under.err, os.ErrDeadlineExceeded)
			require.Equal(t, HandshakeTimeout, time.Since(m.begun))
			m.finish(t)
		})
	})
}

// Frames that are altered, moved or repeated are found by their tags.
func TestHandshakeFramesAreTamperedWith(t *testing.T) {
	t.Parallel()
	inBothRoles(t, func(t *testing.T, outbound bool) {
		for _, c := range []struct {
			f     fault
			about int // the step: bytes that came through
		}{
			{replayed(1), authEnd},
			{reordered(1), 0},
			{flipped(8*5 + 3), 0}, // another key, so another secret
			{flipped(8 * ephemeralSize), 0},
			{flipped(8*authEnd - 1), 0},
			{flipped(8 * authEnd), authEnd},
			{flipped(8*handshakeEnd - 1), authEnd},
		} {
			synctest.Test(t, func(t *testing.T) {
				m := meet(t, outbound, c.f)
				requireStep(t, c.about, m.under.err, secretconn.ErrFrameTag)
				require.Zero(t, time.Since(m.begun), c.f.name)
				m.finish(t)
			})
		}
	})
}

// The clear part of the handshake has no tag. Whatever happens to it, the
// handshake fails within its time, or succeeds if it does not matter.
func TestClearBytesAreTamperedWith(t *testing.T) {
	t.Parallel()
	const mark = 8*ephemeralSize - 1 // what adaptive peers tell each other
	inBothRoles(t, func(t *testing.T, outbound bool) {
		for bit := range 8 * ephemeralSize {
			synctest.Test(t, func(t *testing.T) {
				m := meet(t, outbound, flipped(bit))
				if bit == mark {
					require.NoError(t, m.under.err)
				} else {
					requireStep(t, 0, m.under.err, m.under.err)
				}
				require.LessOrEqual(t, time.Since(m.begun), HandshakeTimeout)
				m.finish(t)
			})
		}
	})
	inBothRoles(t, func(t *testing.T, outbound bool) {
		for _, f := range []fault{replayed(0), reordered(0), lost(0), lost(1), lost(2)} {
			synctest.Test(t, func(t *testing.T) {
				m := meet(t, outbound, f)
				require.Error(t, m.under.err)
				require.LessOrEqual(t, time.Since(m.begun), HandshakeTimeout)
				m.finish(t)
			})
		}
	})
}

// failsWith plays a fault on an established connection: the honest side sends
// three messages, of which the first count arrive, then the side under test
// reports the error once. It returns how long that took.
func failsWith(t *testing.T, outbound bool, f fault, count int, want error) (after time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := meet(t, outbound, f)
		m.start(t)
		begun := time.Now()
		for i := range 3 {
			m.honest.peer.Send(chA, fmt.Append(nil, "message ", i))
			synctest.Wait()
		}
		err := <-m.under.b.errs
		after = time.Since(begun)
		require.ErrorIs(t, err, want, f.name)
		require.ErrorContains(t, err, m.honest.address().ID.String(), "the error names the peer")
		for i := range count {
			require.Equal(t, received{chA, fmt.Sprint("message ", i)}, <-m.under.b.messages)
		}
		require.Empty(t, m.under.b.messages, f.name)
		require.False(t, m.under.peer.Send(chA, []byte("too late")))

		// The switch removes the peer, and the other end learns of it.
		m.under.mt.Remove(m.under.peer)
		require.Error(t, <-m.honest.b.errs)
		m.finish(t)
		require.Empty(t, m.under.b.errs, "an error is reported once")
	})

	return after
}

// Where the frames of the three messages begin.
const (
	firstFrame  = handshakeEnd
	secondFrame = firstFrame + frameSize
	thirdFrame  = secondFrame + frameSize
)

func TestConnectionTruncated(t *testing.T) {
	t.Parallel()
	inBothRoles(t, func(t *testing.T, outbound bool) {
		for n := secondFrame; n <= thirdFrame; n++ {
			if !endsAfter(n, outbound) {
				continue
			}
			count := 1
			if n == thirdFrame {
				count = 2
			}
			require.Zero(t, failsWith(t, outbound, truncated(n), count, endOfStream(n)))
		}
	})
}

func TestConnectionFails(t *testing.T) {
	t.Parallel()
	defaults := mconn.DefaultMConnConfig()
	silence := defaults.PingInterval + defaults.PongTimeout - startGap
	for _, c := range []struct {
		name  string
		f     func() fault
		count int
		want  error
		after time.Duration
	}{
		{"reset between frames", func() fault { return reset(secondFrame) }, 1, syscall.ECONNRESET, 0},
		{"reset inside a frame", func() fault { return reset(secondFrame + 7) }, 1, syscall.ECONNRESET, 0},
		{"stalled between frames", func() fault { return stalled(secondFrame) }, 1, mconn.ErrPongTimeout, silence},
		{"stalled inside a frame", func() fault { return stalled(secondFrame + 500) }, 1, mconn.ErrPongTimeout, silence},
		{"first frame replayed", func() fault { return replayed(3) }, 1, secretconn.ErrFrameTag, 0},
		{"second frame replayed", func() fault { return replayed(4) }, 2, secretconn.ErrFrameTag, 0},
		{"frames reordered", func() fault { return reordered(4) }, 1, secretconn.ErrFrameTag, 0},
		{"frame lost", func() fault { return lost(4) }, 1, secretconn.ErrFrameTag, 0},
		{"length flipped", func() fault { return flipped(8 * secondFrame) }, 1, secretconn.ErrFrameTag, 0},
		{"content flipped", func() fault { return flipped(8 * (secondFrame + 30)) }, 1, secretconn.ErrFrameTag, 0},
		{"padding flipped", func() fault { return flipped(8 * (thirdFrame - 40)) }, 1, secretconn.ErrFrameTag, 0},
		{"tag flipped", func() fault { return flipped(8*thirdFrame - 1) }, 1, secretconn.ErrFrameTag, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBothRoles(t, func(t *testing.T, outbound bool) {
				require.Equal(t, c.after, failsWith(t, outbound, c.f(), c.count, c.want))
			})
		})
	}
}

// A message that was begun and not finished has 30 s.
func TestConnectionStallsInsideAMessage(t *testing.T) {
	t.Parallel()
	inBothRoles(t, func(t *testing.T, outbound bool) {
		synctest.Test(t, func(t *testing.T) {
			m := meet(t, outbound, stalled(thirdFrame)) // a packet is longer than a frame
			m.start(t)
			begun := time.Now()
			require.True(t, m.honest.peer.Send(chB, []byte(strings.Repeat("x", 5000))))
			err := <-m.under.b.errs
			require.ErrorIs(t, err, mconn.ErrAssemblyTimeout)
			require.Equal(t, mconn.DefaultMConnConfig().RecvAssemblyTimeout, time.Since(begun))
			m.finish(t)
		})
	})
}

// A byte at a time is slow, and complete.
func TestConnectionDrips(t *testing.T) {
	t.Parallel()
	inBothRoles(t, func(t *testing.T, outbound bool) {
		synctest.Test(t, func(t *testing.T) {
			m := meet(t, outbound, dripping(time.Millisecond))
			m.start(t)
			long := strings.Repeat("drop by drop ", 300)
			require.True(t, m.honest.peer.Send(chA, []byte(long)))
			require.True(t, m.honest.peer.Send(chA, []byte("end")))
			require.Equal(t, received{chA, long}, next(t, m.under.b.messages))
			require.Equal(t, received{chA, "end"}, next(t, m.under.b.messages))
			require.Empty(t, m.under.b.errs)
			m.finish(t)
		})
	})
}

// TestFaultsDisturbNobodyElse keeps one honest peer connected to a transport while
// others fail in all ways.
func TestFaultsDisturbNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mt := newDefaultTransport(t, "net")
		b := newBehavior()
		near, far := newLink(addrA, addrB)
		mt.admit(near)
		honest := newRawPeer(t, far, types.GenerateNodeKey().PrivKey)
		honest.authenticate(wire.AuthPlain)
		honest.chunks(honest.ownInfo(compat.DialectC))
		peer, err := mt.Accept(t.Context(), b)
		require.NoError(t, err)
		require.NoError(t, peer.Start())
		honest.expectInfo(mt.nodeKey.ID(), compat.DialectC)

		for i, f := range allFaults() {
			failing := &net.TCPAddr{IP: net.IPv4(10, 1, 0, byte(i)), Port: 1}
			playFault(t, mt, failing, f)

			text := fmt.Sprint(f.name, " ", i)
			honest.chunks(wire.AppendMsg(nil, chA, true, []byte(text)))
			require.Equal(t, received{chA, text}, next(t, b.messages))
			require.True(t, peer.Send(chB, []byte(text)))
			require.Equal(t, text, honest.nextMessage())
		}
		require.Empty(t, b.errs)
		require.NoError(t, mt.Close())
		require.Zero(t, mt.places.Taken())
	})
}

// allFaults are one of each kind and step.
func allFaults() []fault {
	var all []fault
	for _, n := range []int{0, 20, ephemeralSize, 500, authEnd, authEnd + 9, handshakeEnd, secondFrame, secondFrame + 9} {
		all = append(all, truncated(n), reset(n), stalled(n), flipped(8*n))
	}
	for k := range 5 {
		all = append(all, replayed(k), reordered(k), lost(k))
	}

	return append(all, dripping(time.Millisecond), dripping(10*time.Millisecond))
}

// playFault lets a node connect through the fault, send what it can, and go.
func playFault(t *testing.T, mt *MultiplexTransport, from *net.TCPAddr, f fault) {
	t.Helper()
	near, far := newLink(addrA, from)
	f.install(near.in)
	dialer := newEnd(t, 1, far)
	mt.admit(near)

	b := newBehavior()
	dialed := &types.NetAddress{ID: mt.nodeKey.ID(), IP: addrA.IP, Port: uint16(addrA.Port)}
	out, err := establish(t, dialer.mt, far, dialed, dialer.b)
	if err == nil {
		require.NoError(t, out.Start())
		out.Send(chA, []byte("one"))
		out.Send(chA, []byte("two"))
	}
	<-time.After(2 * HandshakeTimeout)
	synctest.Wait()
	if mt.places.Taken() > 0 {
		in, err := mt.Accept(t.Context(), b)
		require.NoError(t, err)
		require.NoError(t, in.Start())
		<-time.After(10 * time.Millisecond)
		mt.Remove(in)
	}
	require.NoError(t, dialer.mt.Close())
	require.NoError(t, ignoreClosed(far.Close()))
	synctest.Wait()
	require.Zero(t, mt.places.Taken(), f.name)
}

// nextMessage reads packets up to the next message, and answers pings.
func (p *rawPeer) nextMessage() string {
	p.t.Helper()
	for {
		body, err := wire.ReadSized(p, wire.MaxPacketSize(1024))
		require.NoError(p.t, err)
		packet, err := wire.DecodePacket(body)
		require.NoError(p.t, err)
		if packet.Kind == wire.PacketMsg {
			return string(packet.Payload)
		}
		require.Equal(p.t, wire.PacketPing, packet.Kind)
		p.chunks(wire.AppendPong(nil))
	}
}
