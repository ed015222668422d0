package secretconn

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// ephemeralPair returns the two key pairs of a handshake, marked or not.
func ephemeralPair(t *testing.T, markA, markB bool) (a, b ephemeral) {
	t.Helper()

	a, b = fixedEphemeral(t, repeated(0x11)[:]), fixedEphemeral(t, repeated(0x22)[:])
	if markA {
		a.mark()
	}

	if markB {
		b.mark()
	}

	return a, b
}

// TestAdaptivePeersMeet connects adaptive peers, marked or not. Only two unmarked
// ones wait for the pause.
func TestAdaptivePeersMeet(t *testing.T) {
	for _, c := range []struct {
		name         string
		markA, markB bool
		want         time.Duration
	}{
		{"both marked", true, true, 0},
		{"one marked", true, false, 0},
		{"the other one marked", false, true, 0},
		{"none marked", false, false, DialectPause},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ephA, ephB := ephemeralPair(t, c.markA, c.markB)
				connA, connB := memPipe()
				done := make(chan victimResult, 1)
				start := time.Now()

				go func() {
					sc, err := makeSecretConnection(connB, identity(2), ephB)
					done <- victimResult{sc, err}
				}()

				a, err := makeSecretConnection(connA, identity(1), ephA)
				require.NoError(t, err)

				b := <-done
				require.NoError(t, b.err)

				require.Equal(t, c.want, time.Since(start))
				require.Equal(t, DialectPlain, a.Dialect())
				require.Equal(t, DialectPlain, b.sc.Dialect())
				exchangeText(t, a, b.sc, "hello")
				exchangeText(t, b.sc, a, "hello")
				closeBoth(t, a, b.sc)
			})
		})
	}
}

// TestEphemeralKeysAreMarked checks that MakeSecretConnection needs no pause, which
// shows that it marks its key.
func TestEphemeralKeysAreMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		connectMem(t, identity(1), identity(2))
		require.Zero(t, time.Since(start))
	})
}

// TestAnswersInThePeersDialect plays nodes that send their auth message at once, with
// either order of the keys.
func TestAnswersInThePeersDialect(t *testing.T) {
	for _, c := range []struct {
		form    wire.AuthForm
		dialect Dialect
		size    int
	}{
		{wire.AuthPlain, DialectPlain, 101},
		{wire.AuthTyped, DialectTyped, 124},
	} {
		for _, marked := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				_, victim := ephemeralPair(t, false, marked)
				p := newRawPeerOf(t, victim)
				start := time.Now()

				p.exchange()
				synctest.Wait()
				require.Empty(t, p.arrived(), "the victim holds back")

				p.sendChunks(p.authOf(c.form))

				own := p.receiveAuth()
				require.Len(t, own, c.size)

				a, err := wire.DecodeAuth(own[1:])
				require.NoError(t, err)
				require.Equal(t, c.form, a.Form)
				require.NoError(t, checkAuth(a, [keySize]byte(pubKey(p.key)), p.keys.challenge))

				sc, err := p.result()
				require.NoError(t, err)
				require.Equal(t, c.dialect, sc.Dialect())
				require.Zero(t, time.Since(start))
			})
		}
	}
}

// authOf returns the honest auth message in the given form.
func (p *rawPeer) authOf(form wire.AuthForm) []byte {
	a := signAuth(p.key, p.keys.challenge)
	a.Form = form

	return wire.AppendAuth(nil, a)
}

// arrived returns the unread data that the victim has sent.
func (p *rawPeer) arrived() []byte {
	p.conn.in.mu.Lock()
	defer p.conn.in.mu.Unlock()

	return bytes.Clone(p.conn.in.data)
}

// TestFarPeersAreAnsweredInTheirDialect plays a node over a path with a round trip of
// 0.8 s that dials the victim: its auth message comes that long after the victim's key.
func TestFarPeersAreAnsweredInTheirDialect(t *testing.T) {
	for _, form := range []wire.AuthForm{wire.AuthPlain, wire.AuthTyped} {
		synctest.Test(t, func(t *testing.T) {
			p := newRawPeer(t)
			p.exchange()
			<-time.After(800 * time.Millisecond)
			p.sendChunks(p.authOf(form))

			a, err := wire.DecodeAuth(p.receiveAuth()[1:])
			require.NoError(t, err)
			require.Equal(t, form, a.Form)

			_, err = p.result()
			require.NoError(t, err)
		})
	}
}

// TestSpeaksAfterThePause plays peers that wait for the victim's auth message.
func TestSpeaksAfterThePause(t *testing.T) {
	for _, form := range []wire.AuthForm{wire.AuthPlain, wire.AuthTyped} {
		synctest.Test(t, func(t *testing.T) {
			p := newRawPeer(t)
			start := time.Now()

			p.exchange()
			require.Len(t, p.receiveAuth(), 101)
			require.Equal(t, DialectPause, time.Since(start))

			p.sendChunks(p.authOf(form))

			sc, err := p.result()
			if form == wire.AuthTyped {
				require.ErrorIs(t, err, ErrDialect)

				return
			}

			require.NoError(t, err)
			require.Equal(t, DialectPlain, sc.Dialect())
			require.Empty(t, p.arrived(), "the victim answers once")
		})
	}
}

// TestMarkedPeersSpeakPlain checks that a peer with a marked key must speak dialect C.
func TestMarkedPeersSpeakPlain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t)
		p.eph.mark()
		p.exchange()
		synctest.Wait()
		require.Len(t, p.arrived(), sealedFrameSize, "the victim does not wait")

		p.sendChunks(p.authOf(wire.AuthTyped))

		_, err := p.result()
		require.ErrorIs(t, err, ErrDialect)
	})
}

// TestPartialMessageEndsThePause sends one part of the auth message before the end of
// the pause and the rest after it. The victim waits for the rest.
func TestPartialMessageEndsThePause(t *testing.T) {
	for _, cut := range []int{1, 500, sealedFrameSize - 1} {
		for _, together := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				p := newRawPeer(t)
				hello := wire.AppendEphemeral(nil, p.pub())

				if !together {
					p.send(hello)
					hello = nil
				}

				p.receiveEphemeral()

				frame := p.frame(124, p.authOf(wire.AuthTyped), 0)
				p.send(append(hello, frame[:cut]...))
				<-time.After(2 * DialectPause)
				require.Empty(t, p.arrived())
				p.send(frame[cut:])

				sc, err := p.result()
				require.NoError(t, err)
				require.Equal(t, DialectTyped, sc.Dialect())
			})
		}
	}
}

// TestBadSignatureGetsNoAnswer checks that the victim verifies the peer before it
// sends its own auth message.
func TestBadSignatureGetsNoAnswer(t *testing.T) {
	for _, form := range []wire.AuthForm{wire.AuthPlain, wire.AuthTyped} {
		p := newRawPeer(t)
		p.exchange()

		msg := p.authOf(form)
		msg[len(msg)-1] ^= 1
		p.sendChunks(msg)

		_, err := p.result()
		require.ErrorIs(t, err, ErrBadSignature)
		require.Empty(t, p.arrived())
	}
}

func TestKeyOfAnotherType(t *testing.T) {
	p := newRawPeer(t)
	p.exchange()
	p.sendChunks(bytes.Replace(p.authOf(wire.AuthTyped), []byte("Ed25519"), []byte("Another"), 1))

	_, err := p.result()
	require.ErrorIs(t, err, ErrDialect)
	require.ErrorAs(t, err, new(*wire.DecodeError))
}

// TestPauseEndsWithTheDeadline sets a deadline that is shorter than the pause.
func TestPauseEndsWithTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t)
		start := time.Now()

		require.NoError(t, p.victimConn.SetDeadline(start.Add(DialectPause/2)))
		p.exchange()

		r := <-p.done
		require.ErrorIs(t, r.err, os.ErrDeadlineExceeded)
		require.Equal(t, DialectPause/2, time.Since(start))
		synctest.Wait()
		require.Empty(t, p.arrived())
	})
}

// TestWriteAfterThePauseFails checks the error of the write at the end of the pause.
func TestWriteAfterThePauseFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errBroken := errors.New("broken")
		stream, _ := honestStream(t)
		local, remote := memPipe()
		conn := &cutWriter{in: local, room: 35, err: errBroken}

		go func() {
			_, err := remote.Write(stream[:35])
			<-time.After(2 * DialectPause)

			_, err2 := remote.Write(stream[35:])
			if err := errors.Join(err, err2); err != nil {
				t.Error(err)
			}
		}()

		_, err := makeSecretConnection(conn, victimKey, fixedEphemeral(t, repeated(0x22)[:]))
		require.ErrorIs(t, err, errBroken)
		require.Equal(t, 35, conn.got.Len())
	})
}

// TestPeerHangsUpInThePause checks that the handshake ends at once.
func TestPeerHangsUpInThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newRawPeer(t)
		start := time.Now()
		p.exchange()

		_, err := p.result()
		require.ErrorIs(t, err, io.EOF)
		require.Zero(t, time.Since(start))
		require.Empty(t, p.arrived())
	})
}

func TestMarkIsIgnoredByX25519(t *testing.T) {
	for i := range byte(32) {
		a, b := fixedEphemeral(t, repeated(i)[:]), fixedEphemeral(t, repeated(i + 100)[:])
		require.False(t, isMarked(a.pub))

		plain, err := sharedSecret(b.priv, a.pub)
		require.NoError(t, err)

		raw := a.pub
		a.mark()
		require.True(t, isMarked(a.pub))
		require.Equal(t, raw, unmarked(a.pub))

		withMark, err := sharedSecret(b.priv, a.pub)
		require.NoError(t, err)
		require.Equal(t, plain, withMark)

		// Both sides order the keys by the bytes sent.
		keysA, err := a.agree(b.pub)
		require.NoError(t, err)
		want, err := deriveKeys(plain, bytes.Compare(a.pub[:], b.pub[:]) < 0)
		require.NoError(t, err)
		require.Equal(t, want, keysA)

		keysB, err := b.agree(a.pub)
		require.NoError(t, err)
		require.Equal(t, keysA.send, keysB.recv)
		require.Equal(t, keysA.recv, keysB.send)
		require.Equal(t, keysA.challenge, keysB.challenge)
	}
}

// TestOwnEphemeralIsRefusedWithOrWithoutMark sends the victim's own key back.
func TestOwnEphemeralIsRefusedWithOrWithoutMark(t *testing.T) {
	for _, victimMarked := range []bool{false, true} {
		for _, flip := range []byte{0, adaptiveMark} {
			_, victim := ephemeralPair(t, false, victimMarked)
			p := newRawPeerOf(t, victim)

			hello := p.receive(35)
			hello[34] ^= flip
			p.send(hello)

			_, err := p.result()
			require.ErrorIs(t, err, ErrEqualEphemeral)
			require.Empty(t, p.arrived())
		}
	}
}

// TestLowOrderPointsAreFoundWithMark checks that marked points of low order are
// refused.
func TestLowOrderPointsAreFoundWithMark(t *testing.T) {
	priv := fixedEphemeral(t, repeated(0x33)[:]).priv

	for _, point := range lowOrderPoints {
		point[31] |= adaptiveMark
		require.False(t, slices.Contains(lowOrderPoints, point))

		_, err := sharedSecret(priv, point)
		require.Equal(t, ErrLowOrderPoint, err, "%x", point)
	}
}
