package secretconn

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// rawPeer plays one side of a handshake by hand, honestly or not. The side under
// test, the victim, runs in another goroutine.
type rawPeer struct {
	t    *testing.T
	conn *memConn
	key  ed25519.PrivateKey
	eph  ephemeral

	victimConn *memConn
	done       chan victimResult

	victimEph [keySize]byte // as sent
	shared    []byte
	keys      sessionKeys // of the peer
	sent      uint64      // frames
}

type victimResult struct {
	sc  *SecretConnection
	err error
}

// victimKey is the identity of the victim.
var victimKey = identity(0xb2)

// newRawPeer starts a victim with an unmarked ephemeral key whose seed repeats 0x22.
func newRawPeer(t *testing.T) *rawPeer {
	t.Helper()

	return newRawPeerOf(t, fixedEphemeral(t, repeated(0x22)[:]))
}

// newRawPeerOf starts a victim with the given ephemeral key.
func newRawPeerOf(t *testing.T, victim ephemeral) *rawPeer {
	t.Helper()

	eph := fixedEphemeral(t, repeated(0x11)[:])
	p := &rawPeer{t: t, key: identity(0xa1), eph: eph, done: make(chan victimResult, 1)}
	p.conn, p.victimConn = memPipe()

	go func() {
		sc, err := makeSecretConnection(p.victimConn, victimKey, victim)
		p.done <- victimResult{sc, err}
	}()

	t.Cleanup(func() { require.NoError(t, p.victimConn.Close()) })

	return p
}

// result ends the stream of the peer and returns the victim's result.
func (p *rawPeer) result() (*SecretConnection, error) {
	p.t.Helper()

	p.conn.CloseWrite()
	r := <-p.done

	if r.err != nil {
		require.Nil(p.t, r.sc)
	}

	return r.sc, r.err
}

func (p *rawPeer) send(b []byte) {
	p.t.Helper()

	_, err := p.conn.Write(b)
	require.NoError(p.t, err)
}

func (p *rawPeer) receive(n int) []byte {
	p.t.Helper()

	b := make([]byte, n)
	_, err := io.ReadFull(p.conn, b)
	require.NoError(p.t, err)

	return b
}

func (p *rawPeer) pub() [keySize]byte { return p.eph.pub }

// receiveEphemeral reads the ephemeral message of the victim and derives the keys.
func (p *rawPeer) receiveEphemeral() {
	p.t.Helper()

	msg := p.receive(35)
	require.Equal(p.t, []byte{0x22, 0x0a, 0x20}, msg[:3])
	p.victimEph = [keySize]byte(msg[3:])

	shared, err := sharedSecret(p.eph.priv, p.victimEph)
	require.NoError(p.t, err)

	p.shared = shared
	own := p.pub()
	p.keys, err = deriveKeys(p.shared, bytes.Compare(own[:], p.victimEph[:]) < 0)
	require.NoError(p.t, err)
}

// exchange runs an honest exchange of ephemeral keys.
func (p *rawPeer) exchange() {
	p.t.Helper()

	p.send(wire.AppendEphemeral(nil, p.pub()))
	p.receiveEphemeral()
}

// frame seals any content, honest or not, under the next nonce of the peer.
func (p *rawPeer) frame(length uint32, content []byte, padding byte) []byte {
	p.t.Helper()

	sealed := sealRaw(p.t, &p.keys.send, p.sent, length, content, padding)
	p.sent++

	return sealed
}

// sendChunks sends each chunk in a frame of its own.
func (p *rawPeer) sendChunks(chunks ...[]byte) {
	p.t.Helper()

	for _, c := range chunks {
		p.send(p.frame(uint32(len(c)), c, 0))
	}
}

// auth returns the honest auth message.
func (p *rawPeer) auth() []byte {
	return wire.AppendAuth(nil, signAuth(p.key, p.keys.challenge))
}

// receiveAuth opens the first frame of the victim.
func (p *rawPeer) receiveAuth() []byte {
	p.t.Helper()

	in, err := newDirection(&p.keys.recv)
	require.NoError(p.t, err)

	chunk, err := in.open(p.receive(sealedFrameSize))
	require.NoError(p.t, err)

	return chunk
}

// sealRaw seals a frame independently of the code under test.
func sealRaw(t testing.TB, key *[keySize]byte, counter uint64, length uint32, content []byte, padding byte) []byte {
	t.Helper()

	aead, err := chacha20poly1305.New(key[:])
	require.NoError(t, err)

	opened := binary.LittleEndian.AppendUint32(nil, length)
	opened = append(opened, content...)
	opened = append(opened, bytes.Repeat([]byte{padding}, openedFrameSize-len(opened))...)

	n := binary.LittleEndian.AppendUint64(make([]byte, 4), counter)

	return aead.Seal(nil, n, opened, nil)
}

// connectMem runs an honest handshake between two identities in memory.
func connectMem(t testing.TB, a, b ed25519.PrivateKey) (*SecretConnection, *SecretConnection) {
	t.Helper()

	connA, connB := memPipe()
	done := make(chan victimResult, 1)

	go func() {
		sc, err := MakeSecretConnection(connB, b)
		done <- victimResult{sc, err}
	}()

	scA, err := MakeSecretConnection(connA, a)
	require.NoError(t, err)

	r := <-done
	require.NoError(t, r.err)

	t.Cleanup(func() {
		require.NoError(t, scA.Close())
		require.NoError(t, r.sc.Close())
	})

	return scA, r.sc
}
