package rawnative

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// Sizes in bytes (docs/wire.md §3).
const (
	EphemeralSize = 35
	ChunkSize     = 1024
	FrameSize     = 4 + ChunkSize + chacha20poly1305.Overhead

	keySize     = 32
	maxAuthSize = 1 << 20
	hkdfInfo    = "TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN"
)

// Ephemeral is the peer's own ephemeral message.
func (p *Peer) Ephemeral() []byte {
	return wire.AppendEphemeral(nil, [keySize]byte(p.eph.PublicKey().Bytes()))
}

// Exchange does an honest ephemeral exchange.
func (p *Peer) Exchange() {
	p.Send(p.Ephemeral())
	p.Agree()
}

// Agree reads the ephemeral message of the remote and derives the keys.
func (p *Peer) Agree() {
	remote := p.Receive(EphemeralSize)
	if p.failure == nil && !bytes.HasPrefix(remote, []byte{0x22, 0x0a, 0x20}) {
		p.fail(fmt.Errorf("malformed ephemeral message %x", remote))
	}
	if p.failure == nil {
		p.fail(p.derive(remote[3:], p.eph.PublicKey().Bytes()))
	}
}

func (p *Peer) derive(remote, own []byte) error {
	pub, err := ecdh.X25519().NewPublicKey(remote)
	if err != nil {
		return err
	}
	shared, err := p.eph.ECDH(pub)
	if err != nil {
		return fmt.Errorf("ephemeral key %x of the remote: %w", remote, err)
	}
	okm, err := hkdf.Key(sha256.New, shared, nil, hkdfInfo, 2*keySize+32)
	if err != nil {
		return err
	}
	p.recvKey, p.sendKey, p.challenge = okm[:keySize], okm[keySize:2*keySize], okm[2*keySize:]
	if bytes.Compare(own, remote) > 0 {
		p.recvKey, p.sendKey = p.sendKey, p.recvKey
	}

	return nil
}

// HasKeys reports whether the peer has derived keys, so that it can seal frames.
func (p *Peer) HasKeys() bool { return p.sendKey != nil }

// SealWithReceiveKey makes later frames carry the key of the other direction.
func (p *Peer) SealWithReceiveKey() { p.sendKey = p.recvKey }

// SkipCounter makes the next frame carry a later counter.
func (p *Peer) SkipCounter() { p.sent++ }

// Auth is the peer's own auth message in the form, empty without keys.
func (p *Peer) Auth(form wire.AuthForm) []byte {
	if p.challenge == nil {
		return nil
	}

	return wire.AppendAuth(nil, wire.Auth{
		PublicKey: [keySize]byte(p.key[keySize:]), Signature: [64]byte(ed25519.Sign(p.key, p.challenge)), Form: form,
	})
}

// Signed is the auth message of dialect C with another signature.
func (p *Peer) Signed(signature []byte) []byte {
	return wire.AppendAuth(nil, wire.Auth{PublicKey: [keySize]byte(p.key[keySize:]), Signature: [64]byte(signature)})
}

// Frame seals the next frame, with any length field and padding.
func (p *Peer) Frame(length uint32, content []byte, padding byte) []byte {
	return p.seal(length, content, padding, nil)
}

// FrameWithData seals the next frame with additional data.
func (p *Peer) FrameWithData(content, data []byte) []byte {
	return p.seal(uint32(len(content)), content, 0, data)
}

func (p *Peer) seal(length uint32, content []byte, padding byte, data []byte) []byte {
	if p.failure != nil {
		return nil
	}
	aead, err := chacha20poly1305.New(p.sendKey)
	if err != nil {
		p.fail(err)

		return nil
	}
	opened := append(binary.LittleEndian.AppendUint32(nil, length), content...)
	opened = append(opened, bytes.Repeat([]byte{padding}, 4+ChunkSize-len(opened))...)
	nonce := binary.LittleEndian.AppendUint64(make([]byte, 4), p.sent)
	p.sent++

	return aead.Seal(nil, nonce, opened, data)
}

// Chunks sends each part in a frame of its own. A part of no bytes is a frame of length 0.
func (p *Peer) Chunks(parts ...[]byte) {
	for _, part := range parts {
		p.Send(p.Frame(uint32(len(part)), part, 0))
	}
}

// Message sends a message of any length in full frames.
func (p *Peer) Message(msg []byte) {
	var frames []byte
	for len(msg) > 0 && p.failure == nil {
		n := min(len(msg), ChunkSize)
		frames = append(frames, p.Frame(uint32(n), msg[:n], 0)...)
		msg = msg[n:]
		if len(frames) >= 64*FrameSize || len(msg) == 0 {
			p.Send(frames)
			frames = frames[:0]
		}
	}
}

// Read opens what the remote sends.
func (p *Peer) Read(b []byte) (int, error) {
	for p.plain.Len() == 0 {
		chunk, err := p.open()
		if err != nil {
			p.fail(err)

			return 0, p.failure
		}
		p.plain.Write(chunk)
	}

	return p.plain.Read(b)
}

func (p *Peer) open() ([]byte, error) {
	frame := p.Receive(FrameSize)
	if p.failure != nil {
		return nil, p.failure
	}
	aead, err := chacha20poly1305.New(p.recvKey)
	if err != nil {
		return nil, err
	}
	nonce := binary.LittleEndian.AppendUint64(make([]byte, 4), p.received)
	p.received++
	opened, err := aead.Open(frame[:0], nonce, frame, nil)
	if err != nil {
		return nil, errors.New("a frame of the remote does not open")
	}
	size := binary.LittleEndian.Uint32(opened)
	if size == 0 || size > ChunkSize {
		return nil, fmt.Errorf("a frame of the remote has a chunk of %d bytes", size)
	}

	return opened[4 : 4+size], nil
}

// sized reads a sized message.
func (p *Peer) sized(limit int) []byte {
	if p.failure != nil {
		return nil
	}
	body, err := wire.ReadSized(p, limit)
	if err != nil && p.failure == nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		p.fail(err)
	}

	return body
}

// ReceiveAuth reads and verifies the auth message of the remote.
func (p *Peer) ReceiveAuth() wire.Auth {
	body := p.sized(maxAuthSize)
	if p.failure != nil {
		return wire.Auth{}
	}
	a, err := wire.DecodeAuth(body)
	if err == nil && !ed25519.Verify(a.PublicKey[:], p.challenge, a.Signature[:]) {
		err = errors.New("the signature of the remote is wrong")
	}
	p.fail(err)

	return a
}

// ReceiveNodeInfo reads the NodeInfo of the remote.
func (p *Peer) ReceiveNodeInfo() wire.NodeInfo {
	body := p.sized(types.MaxNodeInfoSize)
	if p.failure != nil {
		return wire.NodeInfo{}
	}
	info, err := wire.DecodeNodeInfo(body)
	p.fail(err)

	return info
}
