package secretconn

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/edkey"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// FuzzHandshake sends data as the whole stream of a peer, to a victim with either
// order of the keys.
func FuzzHandshake(f *testing.F) {
	stream, _ := honestStream(f)
	f.Add(stream, byte(0x22))
	f.Add(stream, byte(0x33))
	f.Add(stream[:35+500], byte(0x22))
	f.Add(wire.AppendEphemeral(nil, lowOrderPoints[3]), byte(0x22))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), byte(0x22))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, byte(0x22))

	f.Fuzz(func(t *testing.T, data []byte, seed byte) {
		conn := &recordedConn{in: bytes.NewReader(data)}

		sc, err := makeSecretConnection(conn, victimKey, fixedEphemeral(t, repeated(seed)[:]))
		if err != nil {
			require.Nil(t, sc)

			return
		}

		// Only the recorded peer has signed this challenge.
		require.Equal(t, pubKey(identity(0xa1)), sc.RemotePubKey())
		require.Len(t, conn.out.Bytes(), 35+sealedFrameSize)
	})
}

// FuzzHandshakeAuth sends plain as the auth message of a peer that is honest
// otherwise, in pieces of the given size, to a victim with either order of the keys.
func FuzzHandshakeAuth(f *testing.F) {
	challenge := [challengeSize]byte{1}
	honest := wire.AppendAuth(nil, signAuth(identity(0xa1), challenge))
	typed := signAuth(identity(0xa1), challenge)
	typed.Form = wire.AuthTyped
	stranger := bytes.Replace(wire.AppendAuth(nil, typed), []byte("Ed25519"), []byte("Ed448xx"), 1)

	f.Add(honest, uint16(1024), true)
	f.Add(honest, uint16(1), false)
	f.Add(wire.AppendAuth(nil, typed), uint16(1024), true)
	f.Add(wire.AppendAuth(nil, wire.Auth{PublicKey: [32]byte{1}, Signature: [64]byte{1}}), uint16(7), false)
	f.Add(stranger, uint16(1024), true)
	f.Add([]byte{0}, uint16(1), true)

	f.Fuzz(func(t *testing.T, plain []byte, size uint16, least bool) {
		keys, err := deriveKeys(repeated(5)[:], least)
		require.NoError(t, err)
		keys.challenge = challenge

		peer, err := newDirection(&keys.recv)
		require.NoError(t, err)

		var sealed bytes.Buffer

		w := &frameWriter{conn: &sealed, out: peer}
		piece := min(max(int(size), 1), maxChunkSize)

		for p := plain; len(p) > 0; p = p[min(piece, len(p)):] {
			_, err := w.Write(p[:min(piece, len(p))])
			require.NoError(t, err)
		}

		conn := &recordedConn{in: &sealed}
		sc, err := newSecretConnection(conn, newFrameReader(conn), &keys)
		require.NoError(t, err)

		proved, err := newAuthExchange(sc, victimKey, challenge).run(false)
		if err != nil {
			require.Zero(t, proved)
			require.Zero(t, conn.out.Len(), "nothing is shown to a peer that proves nothing")

			return
		}

		require.Equal(t, sealedFrameSize, conn.out.Len())

		body, err := wire.ReadSized(bytes.NewReader(plain), len(plain))
		require.NoError(t, err)
		a, err := wire.DecodeAuth(body)
		require.NoError(t, err)
		require.Equal(t, a, proved)
		require.NotEqual(t, [keySize]byte(pubKey(victimKey)), a.PublicKey)
		require.False(t, edkey.LowOrder(a.PublicKey[:]))
		require.True(t, ed25519.Verify(a.PublicKey[:], challenge[:], a.Signature[:]))
	})
}

// plainReader is a simple reader of the format.
func plainReader(t *testing.T, stream []byte) (content []byte, err error) {
	t.Helper()

	d, err := newDirection(repeated(7))
	require.NoError(t, err)

	for len(stream) >= sealedFrameSize {
		opened, err := d.aead.Open(nil, d.nonce[:], stream[:sealedFrameSize], nil)
		if err != nil {
			return content, ErrFrameTag
		}

		length := binary.LittleEndian.Uint32(opened)

		switch {
		case length == 0:
			return content, ErrFrameEmpty
		case length > maxChunkSize:
			return content, ErrFrameLength
		}

		content = append(content, opened[4:4+length]...)
		stream = stream[sealedFrameSize:]
		d.nonce[4]++ // at most 255 frames
	}

	if len(stream) > 0 {
		return content, io.ErrUnexpectedEOF
	}

	return content, io.EOF
}

// FuzzFrameReader compares the reader with plainReader. lengths holds the two low
// bytes of each frame's length field. flip alters one byte of the stream, and cut
// ends it. Each byte of pieces is the size of a read; zero is a deadline error.
func FuzzFrameReader(f *testing.F) {
	f.Add([]byte{5, 0, 0, 4, 1, 0}, uint32(0), uint32(1<<20), []byte{0, 255, 3}, uint16(100))
	f.Add([]byte{5, 0, 0, 0}, uint32(0), uint32(1<<20), []byte{}, uint16(1))
	f.Add([]byte{1, 4}, uint32(0), uint32(1<<20), []byte{1}, uint16(2000))
	f.Add([]byte{0, 4, 0, 4}, uint32(1500), uint32(1<<20), []byte{200}, uint16(70))
	f.Add([]byte{0, 4, 0, 4}, uint32(0), uint32(1500), []byte{9, 0}, uint16(1024))

	f.Fuzz(func(t *testing.T, lengths []byte, flip, cut uint32, pieces []byte, size uint16) {
		var stream []byte

		for i := 0; i+1 < min(len(lengths), 20); i += 2 {
			length := uint32(binary.LittleEndian.Uint16(lengths[i:]))
			stream = append(stream, sealRaw(t, repeated(7), uint64(i/2), length, pattern(maxChunkSize), 9)...)
		}

		if len(stream) > 0 && flip > 0 {
			stream[int(flip)%len(stream)] ^= byte(flip>>24) | 1
		}

		stream = stream[:min(len(stream), int(cut))]
		want, wantErr := plainReader(t, bytes.Clone(stream))

		_, r := newWriterReader(t)
		r.conn = &pieceReader{stream: stream, pieces: pieces}

		var (
			got []byte
			err error
		)

		for p := make([]byte, max(size, 1)); err == nil || err == os.ErrDeadlineExceeded; {
			var n int

			n, err = r.Read(p)
			got = append(got, p[:n]...)
		}

		require.Equal(t, wantErr, err)
		require.Equal(t, want, got)
	})
}

// pieceReader returns stream in pieces of the given sizes. For the size zero it
// returns a deadline error.
type pieceReader struct {
	stream, pieces []byte
}

func (p *pieceReader) Read(b []byte) (int, error) {
	if len(p.stream) == 0 {
		return 0, io.EOF
	}

	size := len(p.stream)

	if len(p.pieces) > 0 {
		size = int(p.pieces[0])
		p.pieces = p.pieces[1:]
	}

	if size == 0 {
		return 0, os.ErrDeadlineExceeded
	}

	n := copy(b, p.stream[:min(size, len(p.stream))])
	p.stream = p.stream[n:]

	return n, nil
}

// FuzzWriteDeadlines cuts writes by deadlines after any number of bytes. The peer
// must read exactly the bytes that Write reported.
func FuzzWriteDeadlines(f *testing.F) {
	f.Add(uint32(2500), []byte{0x14, 0x04, 0x00, 0x00, 0x01, 0x00}, true)
	f.Add(uint32(100_000), []byte{0xff, 0xff, 0x15, 0x04}, false)

	f.Fuzz(func(t *testing.T, size uint32, rooms []byte, giveUp bool) {
		conn := &cutWriter{err: os.ErrDeadlineExceeded}
		w, _ := newWriterReader(t)
		w.conn = conn

		p := pattern(int(size % 200_000))

		var want []byte

		for ; len(rooms) >= 2 && len(p) > 0; rooms = rooms[2:] {
			conn.room = int(binary.LittleEndian.Uint16(rooms))

			n, err := w.Write(p)
			want = append(want, p[:n]...)
			p = p[n:]

			if err != nil {
				require.Equal(t, os.ErrDeadlineExceeded, err)
			}

			if giveUp {
				p = p[min(5, len(p)):]
			}
		}

		conn.room = 1 << 30
		n, err := w.Write(p)
		require.NoError(t, err)
		require.Equal(t, len(p), n)

		got, err := readAllOf(t, &conn.got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(append(want, p...), got))
	})
}
