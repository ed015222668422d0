package native

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	ephemeralSize = 35
	chunkSize     = 1024
	frameSize     = 4 + chunkSize + 16
)

// rawPeer is a TM2 node written down from docs/wire.md §3, on none of the code
// under test but the encodings. It does what it is told, honest or not.
type rawPeer struct {
	t    testing.TB
	conn *linkConn
	key  ed25519.PrivateKey
	eph  *ecdh.PrivateKey

	sendKey, recvKey []byte
	challenge        []byte
	sent, received   uint64 // frames
	plain            bytes.Buffer
}

func newRawPeer(t testing.TB, conn *linkConn, key ed25519.PrivateKey) *rawPeer {
	t.Helper()
	eph, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)

	return &rawPeer{t: t, conn: conn, key: key, eph: eph}
}

func (p *rawPeer) id() types.ID { return types.IDFromPublicKey(p.key.Public().(ed25519.PublicKey)) }

// send writes bytes as they are. A remote that is gone is no failure: what it
// made of the peer is judged elsewhere.
func (p *rawPeer) send(b []byte) {
	if _, err := p.conn.Write(b); err != nil && !errors.Is(err, net.ErrClosed) {
		require.ErrorIs(p.t, err, syscall.EPIPE)
	}
}

// receive reads bytes as they are.
func (p *rawPeer) receive(n int) []byte {
	p.t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(p.conn, b)
	require.NoError(p.t, err)

	return b
}

// hangUp ends the stream to the remote.
func (p *rawPeer) hangUp() {
	p.t.Helper()
	require.NoError(p.t, p.conn.CloseWrite())
}

func (p *rawPeer) ephemeral() []byte {
	return wire.AppendEphemeral(nil, [32]byte(p.eph.PublicKey().Bytes()))
}

// agree reads the ephemeral message of the remote and derives the keys.
func (p *rawPeer) agree() {
	p.t.Helper()
	p.deriveKeys(p.receive(ephemeralSize)[3:], p.eph.PublicKey().Bytes())
}

func (p *rawPeer) deriveKeys(remote, own []byte) {
	p.t.Helper()
	pub, err := ecdh.X25519().NewPublicKey(remote)
	require.NoError(p.t, err)
	shared, err := p.eph.ECDH(pub)
	require.NoError(p.t, err)
	okm, err := hkdf.Key(sha256.New, shared, nil, "TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN", 96)
	require.NoError(p.t, err)
	p.recvKey, p.sendKey, p.challenge = okm[:32], okm[32:64], okm[64:]
	if bytes.Compare(own, remote) > 0 {
		p.recvKey, p.sendKey = p.sendKey, p.recvKey
	}
}

// exchange does an honest ephemeral exchange.
func (p *rawPeer) exchange() {
	p.t.Helper()
	p.send(p.ephemeral())
	p.agree()
}

// auth is the honest auth message in the form.
func (p *rawPeer) auth(form wire.AuthForm) []byte {
	return wire.AppendAuth(nil, wire.Auth{
		PublicKey: [32]byte(p.key[32:]), Signature: [64]byte(ed25519.Sign(p.key, p.challenge)), Form: form,
	})
}

// sealFrame seals a frame under any key and counter.
func sealFrame(t testing.TB, key []byte, counter uint64, length uint32, content []byte, padding byte) []byte {
	t.Helper()
	opened := append(binary.LittleEndian.AppendUint32(nil, length), content...)
	opened = append(opened, bytes.Repeat([]byte{padding}, 4+chunkSize-len(opened))...)

	return seal(t, key, counter, opened)
}

// seal seals what need be no whole frame.
func seal(t testing.TB, key []byte, counter uint64, opened []byte) []byte {
	t.Helper()
	aead, err := chacha20poly1305.New(key)
	require.NoError(t, err)

	return aead.Seal(nil, binary.LittleEndian.AppendUint64(make([]byte, 4), counter), opened, nil)
}

// frame seals the next frame.
func (p *rawPeer) frame(length uint32, content []byte, padding byte) []byte {
	p.t.Helper()
	p.sent++

	return sealFrame(p.t, p.sendKey, p.sent-1, length, content, padding)
}

// sealed seals the bytes as the next frame, however many they are.
func (p *rawPeer) sealed(opened []byte) []byte {
	p.t.Helper()
	p.sent++

	return seal(p.t, p.sendKey, p.sent-1, opened)
}

// chunks sends each part in a frame of its own.
func (p *rawPeer) chunks(parts ...[]byte) {
	p.t.Helper()
	for _, part := range parts {
		p.send(p.frame(uint32(len(part)), part, 0))
	}
}

// message sends a message of any length.
func (p *rawPeer) message(msg []byte) {
	p.t.Helper()
	for len(msg) > 0 {
		n := min(len(msg), chunkSize)
		p.chunks(msg[:n])
		msg = msg[n:]
	}
}

// Read opens what the remote sends.
func (p *rawPeer) Read(b []byte) (int, error) {
	for p.plain.Len() == 0 {
		frame := make([]byte, frameSize)
		if _, err := io.ReadFull(p.conn, frame); err != nil {
			return 0, err
		}
		aead, err := chacha20poly1305.New(p.recvKey)
		require.NoError(p.t, err)
		nonce := binary.LittleEndian.AppendUint64(make([]byte, 4), p.received)
		opened, err := aead.Open(frame[:0], nonce, frame, nil)
		require.NoError(p.t, err)
		p.received++
		size := binary.LittleEndian.Uint32(opened)
		require.LessOrEqual(p.t, size, uint32(chunkSize))
		p.plain.Write(opened[4 : 4+size])
	}

	return p.plain.Read(b)
}

// receiveAuth reads and verifies the auth message of the remote.
func (p *rawPeer) receiveAuth() wire.Auth {
	p.t.Helper()
	body, err := wire.ReadSized(p, 1<<20)
	require.NoError(p.t, err)
	a, err := wire.DecodeAuth(body)
	require.NoError(p.t, err)
	require.True(p.t, ed25519.Verify(a.PublicKey[:], p.challenge, a.Signature[:]))

	return a
}

// receiveNodeInfo reads the NodeInfo of the remote, as it is on the wire.
func (p *rawPeer) receiveNodeInfo() wire.NodeInfo {
	p.t.Helper()
	body, err := wire.ReadSized(p, types.MaxNodeInfoSize)
	require.NoError(p.t, err)
	info, err := wire.DecodeNodeInfo(body)
	require.NoError(p.t, err)

	return info
}

// authenticate is the whole secret connection of a node that sends all it can at
// once.
func (p *rawPeer) authenticate(form wire.AuthForm) {
	p.t.Helper()
	p.exchange()
	p.chunks(p.auth(form))
	require.Equal(p.t, form, p.receiveAuth().Form, "the remote answers in kind")
}

var (
	addrA = &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 26656}
	addrB = &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 26656}
)
