package lp2p

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// The timeout of a connection, which ends streams between two messages, is no violation of
// the remote.
func TestDeadConnectionIsNoViolation(t *testing.T) {
	for _, quic := range []bool{false, true} {
		t.Run(map[bool]string{false: "TCP", true: "QUIC"}[quic], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memnet, udp := newMemNet(), &silentUDP{internet: newInternet()}
				var optsA, optsB []Option
				if quic {
					optsA = []Option{udp.quic(t, "10.0.0.1"), WithQUICOnly()}
					optsB = []Option{udp.quic(t, "10.0.0.2"), WithQUICOnly()}
				}
				a := memnet.newNode(t, net.IPv4(10, 0, 0, 1), optsA...)
				b := memnet.newNode(t, net.IPv4(10, 0, 0, 2), optsB...)
				const sessions = 5 // whichever of a session's streams notices first
				for i := range sessions {
					pb, _ := dialAs(t, b, a, delegated(b))
					for _, ch := range []byte{chA, chB, chC} {
						require.True(t, pb.Send(ch, []byte("x")))
						require.True(t, pb.Send(ch, make([]byte, 100_000)))
					}
					a.reactor.await(t, 6*(i+1))
				}
				synctest.Wait()

				memnet.silence()
				udp.silent.Store(true)
				for range sessions {
					for _, n := range []*node{a, b} {
						select {
						case f := <-n.failures:
							require.True(t, stream.IsLost(f.err), f.err.Error())
							require.NotErrorIs(t, f.err, control.ErrProtocol)
							require.False(t, errors.As(f.err, new(*compat.RejectError)), f.err.Error())
						case <-time.After(time.Hour):
							require.Fail(t, "dead peer was not noticed")
						}
					}
				}
			})
		})
	}
}

// Nor is the end of a connection whose remote process has died: it is not the end of a
// stream.
func TestEndOfConnectionIsNoViolation(t *testing.T) {
	for range 10 { // whichever stream notices first
		synctest.Test(t, func(t *testing.T) {
			memnet := newMemNet()
			a, b := memnet.newNode(t, net.IPv4(10, 0, 0, 1)), memnet.newNode(t, net.IPv4(10, 0, 0, 2))
			pa, _ := connect(t, a, b)
			for _, ch := range []byte{chA, chB, chC} {
				require.True(t, pa.Send(ch, []byte("x")))
			}
			b.reactor.await(t, 3)
			synctest.Wait()
			memnet.mtx.Lock()
			for _, c := range memnet.conns {
				c.out.close(false) // as the kernel does: a FIN
			}
			memnet.mtx.Unlock()
			err := b.failure(t).err
			require.NotErrorIs(t, err, control.ErrProtocol)
			require.True(t, stream.IsLost(err), err.Error())
		})
	}
}

// Nor is, over QUIC, the end of a data stream whose goodbye does not come: its packets may all
// have been lost. Over TCP they cannot be.
func TestEndWithoutGoodbyeOverQUICIsNoViolation(t *testing.T) {
	for _, quic := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			memnet, udp := newMemNet(), &silentUDP{internet: newInternet()}
			var optsA, optsB []Option
			if quic {
				optsA = []Option{udp.quic(t, "10.0.0.1"), WithQUICOnly()}
				optsB = []Option{udp.quic(t, "10.0.0.2"), WithQUICOnly()}
			}
			a := memnet.newNode(t, net.IPv4(10, 0, 0, 1), optsA...)
			b := memnet.newNode(t, net.IPv4(10, 0, 0, 2), optsB...)
			pa, _ := connect(t, a, b)
			require.True(t, pa.Send(chA, []byte("x")))
			b.reactor.await(t, 1)
			begun := time.Now()
			for _, s := range pa.s.out.streams() {
				require.NoError(t, s.CloseWrite())
			}
			err := b.failure(t).err
			require.ErrorIs(t, err, control.ErrProtocol)
			require.ErrorContains(t, err, "without a goodbye")
			require.Equal(t, !quic, errors.Is(err, compat.ErrViolation))
			if quic {
				require.GreaterOrEqual(t, time.Since(begun), quicStreamGrace)
			}
		})
	}
}

// Nor is a data stream that has ended in order, on a connection that breaks before the goodbye
// that explains its end was read.
func TestGoodbyeLostWithItsConnectionIsNoViolation(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	_, pb := connect(t, a, b)
	cut := control.Violation("stream of channel %#02x ended without a goodbye", chA)
	pb.s.mtx.Lock()
	pb.s.cut = cut
	pb.s.mtx.Unlock()
	require.NoError(t, pb.s.conn.Close())
	err := b.failure(t).err
	require.NotErrorIs(t, err, compat.ErrViolation)
	require.True(t, stream.IsLost(err), err.Error())
	require.Equal(t, cut, pb.s.endCause(io.EOF), "the end of the control stream alone is one")
}
