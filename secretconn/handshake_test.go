package secretconn

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/edkey"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

func TestHandshake(t *testing.T) {
	keyA, keyB := identity(1), identity(2)
	a, b := connectMem(t, keyA, keyB)

	require.Equal(t, pubKey(keyB), a.RemotePubKey())
	require.Equal(t, pubKey(keyA), b.RemotePubKey())

	a.RemotePubKey()[0] ^= 1 // a copy
	require.Equal(t, pubKey(keyB), a.RemotePubKey())

	exchangeText(t, a, b, "from a")
	exchangeText(t, b, a, "from b")
}

func exchangeText(t *testing.T, from, to io.ReadWriter, text string) {
	t.Helper()

	n, err := from.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), n)

	got := make([]byte, len(text))
	_, err = io.ReadFull(to, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func TestHandshakeEphemeralKeysDiffer(t *testing.T) {
	seen := map[string]bool{}

	for range 8 {
		conn := &recordedConn{in: bytes.NewReader(nil)}

		_, err := MakeSecretConnection(conn, victimKey)
		require.ErrorIs(t, err, io.EOF)
		require.Len(t, conn.out.Bytes(), 35)
		require.True(t, isMarked([keySize]byte(conn.out.Bytes()[3:])))

		seen[conn.out.String()] = true
	}

	require.Len(t, seen, 8)
}

func TestHandshakeArguments(t *testing.T) {
	_, err := MakeSecretConnection(nil, victimKey)
	require.Error(t, err)

	conn := &recordedConn{in: bytes.NewReader(nil)}

	for _, size := range []int{0, 32, 63, 65} {
		_, err = MakeSecretConnection(conn, make(ed25519.PrivateKey, size))
		require.Error(t, err)
		require.Zero(t, conn.out.Len())
	}
}

func TestHandshakeLowOrderEphemeral(t *testing.T) {
	for _, point := range lowOrderPoints {
		for _, sign := range []byte{0, 0x80} {
			p := newRawPeer(t)
			point[31] |= sign
			p.send(wire.AppendEphemeral(nil, point))

			_, err := p.result()
			require.ErrorIs(t, err, ErrLowOrderPoint, "%x", point)

			// The victim sends no frame to such a peer.
			require.NoError(t, p.victimConn.Close())
			sent, err := io.ReadAll(p.conn)
			require.NoError(t, err)
			require.Len(t, sent, 35)
		}
	}
}

func TestHandshakeLowOrderIdentity(t *testing.T) {
	for _, key := range edkey.LowOrderPoints {
		for _, sign := range []byte{0, 0x80} {
			p := newRawPeer(t)
			p.exchange()

			key[31] |= sign
			p.sendChunks(wire.AppendAuth(nil, wire.Auth{PublicKey: key, Signature: [64]byte{1}}))

			_, err := p.result()
			require.ErrorIs(t, err, ErrLowOrderIdentity, "%x", key)
		}
	}
}

func TestHandshakeOwnKeyWithFreshSignature(t *testing.T) {
	p := newRawPeer(t)
	p.key = victimKey
	p.exchange()
	p.sendChunks(p.auth())

	_, err := p.result()
	require.ErrorIs(t, err, ErrOwnKey)
}

func TestHandshakeSignatureBitFlips(t *testing.T) {
	for bit := range 64 * 8 {
		p := newRawPeer(t)
		p.exchange()

		a := signAuth(p.key, p.keys.challenge)
		a.Signature[bit/8] ^= 1 << (bit % 8)
		p.sendChunks(wire.AppendAuth(nil, a))

		_, err := p.result()
		require.ErrorIs(t, err, ErrBadSignature, "bit %d", bit)
	}
}

// TestHandshakeWidestMessages spreads every number over ten bytes, which is valid. It
// shows that the size limits refuse no valid message.
func TestHandshakeWidestMessages(t *testing.T) {
	wide := func(v byte) []byte {
		return []byte{v | 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

	p := newRawPeer(t)
	pub := p.pub()
	eph := join(wide(52), wide(0x0a), wide(32), pub[:])
	require.Len(t, eph, maxEphemeralSize)
	p.send(eph)
	p.receiveEphemeral()

	a := signAuth(p.key, p.keys.challenge)
	auth := join([]byte{0x88, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00},
		wide(0x0a), wide(32), a.PublicKey[:], wide(0x12), wide(64), a.Signature[:])
	require.Len(t, auth, 146)
	p.sendChunks(auth)

	_, err := p.result()
	require.NoError(t, err)
}

func TestHandshakeOversizedMessages(t *testing.T) {
	p := newRawPeer(t)
	p.send([]byte{62})
	_, err := p.result()
	require.ErrorIs(t, err, wire.ErrTooLarge)

	p = newRawPeer(t)
	p.exchange()
	p.sendChunks([]byte{0xff, 0x07}) // 1023 bytes and the prefix
	_, err = p.result()
	require.ErrorIs(t, err, wire.ErrTooLarge)
}

// TestHandshakeKeepsLaterData sends the whole stream in one piece and checks that no
// byte after the auth message is lost, in its frame or in the next.
func TestHandshakeKeepsLaterData(t *testing.T) {
	stream, want := honestStream(t)

	for name, pace := range map[string]func(io.Reader) io.Reader{
		"one piece":     func(r io.Reader) io.Reader { return r },
		"one byte each": iotest.OneByteReader,
		"half reads":    iotest.HalfReader,
	} {
		conn := &recordedConn{in: pace(bytes.NewReader(stream))}

		sc, err := makeSecretConnection(conn, victimKey, fixedEphemeral(t, repeated(0x22)[:]))
		require.NoError(t, err, name)

		got, err := io.ReadAll(sc)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

// honestStream returns the stream of an honest peer to the victim of newRawPeer, with
// two more frames, and the content after the handshake.
func honestStream(t testing.TB) (stream, after []byte) {
	t.Helper()

	peer := fixedEphemeral(t, repeated(0x11)[:])

	keys, err := peer.agree(fixedEphemeral(t, repeated(0x22)[:]).pub)
	require.NoError(t, err)

	out, err := newDirection(&keys.send)
	require.NoError(t, err)

	sealed := bytes.NewBuffer(wire.AppendEphemeral(nil, peer.pub))
	w := &frameWriter{conn: sealed, out: out}
	auth := wire.AppendAuth(nil, signAuth(identity(0xa1), keys.challenge))
	after = pattern(3000)

	_, err = w.Write(append(auth, after...))
	require.NoError(t, err)

	return sealed.Bytes(), after
}

func TestHandshakeTruncatedAtEveryByte(t *testing.T) {
	stream, _ := honestStream(t)
	handshake := 35 + sealedFrameSize

	for size := range handshake {
		conn := &recordedConn{in: bytes.NewReader(stream[:size])}

		_, err := makeSecretConnection(conn, victimKey, fixedEphemeral(t, repeated(0x22)[:]))
		if size == 0 || size == 35 {
			require.ErrorIs(t, err, io.EOF, "%d bytes", size)
		} else {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", size)
		}
	}

	_, err := makeSecretConnection(&recordedConn{in: bytes.NewReader(stream[:handshake])}, victimKey, fixedEphemeral(t, repeated(0x22)[:]))
	require.NoError(t, err)
}

// cutWriter fails after a number of bytes.
type cutWriter struct {
	net.Conn

	in   io.Reader
	room int
	err  error
	got  bytes.Buffer
}

func (c *cutWriter) Read(p []byte) (int, error) { return c.in.Read(p) }

func (c *cutWriter) Write(p []byte) (int, error) {
	n := min(c.room, len(p))
	c.room -= n
	c.got.Write(p[:n])

	if n < len(p) {
		return n, c.err
	}

	return n, nil
}

func TestHandshakeWriteFails(t *testing.T) {
	stream, _ := honestStream(t)
	errBroken := errors.New("broken")

	for _, room := range []int{0, 1, 34, 35, 36, 35 + sealedFrameSize - 1} {
		conn := &cutWriter{in: bytes.NewReader(stream), room: room, err: errBroken}

		_, err := makeSecretConnection(conn, victimKey, fixedEphemeral(t, repeated(0x22)[:]))
		require.ErrorIs(t, err, errBroken, "%d bytes", room)
		require.Equal(t, room, conn.got.Len())
	}
}

func TestHandshakeWipesEphemeralSeed(t *testing.T) {
	seed := repeated(0x22)
	_, err := newEphemeral(seed)
	require.NoError(t, err)
	require.Zero(t, *seed)
}

// What a remote of another protocol sends first is in the error, which can name it.
func TestGreetingOfAnotherProtocol(t *testing.T) {
	for _, greeting := range []string{"\x13/multistream/1.0.0\n", "HTTP/1.1 400 Bad Request\r\n", "\x00"} {
		a, b := memPipe()
		_, err := b.Write([]byte(greeting))
		require.NoError(t, err)
		_, err = MakeSecretConnection(a, identity(1))
		var foreign *GreetingError
		require.ErrorAs(t, err, &foreign)
		require.Equal(t, greeting, string(foreign.First))
	}
	const alert = "\x15\x03\x01\x00\x02\x02\x0a" // of TLS, shorter than its first byte says
	for _, apart := range []bool{false, true} {
		a, b := memPipe()
		for i := range alert {
			_, err := b.Write([]byte{alert[i]})
			require.NoError(t, err)
		}
		b.CloseWrite()
		var conn net.Conn = a
		if apart {
			conn = oneByteConn{a}
		}
		_, err := MakeSecretConnection(conn, identity(1))
		var foreign *GreetingError
		require.ErrorAs(t, err, &foreign)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.Equal(t, alert, string(foreign.First))
	}
	key := string(wire.AppendEphemeral(nil, [keySize]byte{9}))
	for _, cutOff := range []string{"", key[:1], key[:3], key[:len(key)-1]} {
		a, b := memPipe()
		_, err := b.Write([]byte(cutOff))
		require.NoError(t, err)
		b.CloseWrite()
		_, err = MakeSecretConnection(a, identity(1))
		require.Error(t, err)
		require.False(t, errors.As(err, new(*GreetingError)), "%x", cutOff)
	}
}

// oneByteConn returns one byte at a time.
type oneByteConn struct{ net.Conn }

func (c oneByteConn) Read(p []byte) (int, error) { return c.Conn.Read(p[:1]) }
