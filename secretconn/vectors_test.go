package secretconn

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// vectors is this package's part of internal/wire/testdata/vectors.json.
type vectors struct {
	Ephemeral []struct {
		Message, Priv, Pub hexBytes
	}
	KeySchedule []struct {
		ALeast    bool     `json:"a_is_least"`
		APriv     hexBytes `json:"a_priv"`
		APub      hexBytes `json:"a_pub"`
		ARecvKey  hexBytes `json:"a_recv_key"`
		ASendKey  hexBytes `json:"a_send_key"`
		BPriv     hexBytes `json:"b_priv"`
		BPub      hexBytes `json:"b_pub"`
		Challenge hexBytes
		Shared    hexBytes
	} `json:"key_schedule"`
	Auth []struct {
		Seed, Challenge, Signature hexBytes
		MessageAB                  hexBytes `json:"message_A_B"`
		MessageC                   hexBytes `json:"message_C"`
	}
	NonceIncrement []struct {
		Before, After hexBytes
		Panic         bool
	} `json:"nonce_increment"`
	Frames []struct {
		Key, Data hexBytes
		Frames    []struct {
			Nonce, Opened, Sealed hexBytes
			ChunkLen              int      `json:"chunk_len"`
			SealedZero            hexBytes `json:"sealed_with_zero_padding"`
		}
	}
	LowOrderPoints []struct {
		PublicKey   hexBytes `json:"public_key"`
		OnBlacklist bool     `json:"on_blacklist"`
		ZeroShared  bool     `json:"zero_shared_secret"`
		Accepted    bool
	} `json:"low_order_points"`
}

func readVectors(t *testing.T) *vectors {
	t.Helper()

	v := new(vectors)
	readJSON(t, "../internal/wire/testdata/vectors.json", v)

	return v
}

func TestVectorsEphemeral(t *testing.T) {
	v := readVectors(t).Ephemeral
	require.GreaterOrEqual(t, len(v), 4)

	for _, c := range v {
		pub := fixedEphemeral(t, c.Priv).pub
		require.Equal(t, []byte(c.Pub), pub[:])
		require.Equal(t, []byte(c.Message), wire.AppendEphemeral(nil, pub))
	}
}

func TestVectorsKeySchedule(t *testing.T) {
	v := readVectors(t).KeySchedule
	require.GreaterOrEqual(t, len(v), 3)

	for _, c := range v {
		shared, err := sharedSecret(fixedEphemeral(t, c.APriv).priv, [keySize]byte(c.BPub))
		require.NoError(t, err)
		require.Equal(t, []byte(c.Shared), shared)

		reverse, err := sharedSecret(fixedEphemeral(t, c.BPriv).priv, [keySize]byte(c.APub))
		require.NoError(t, err)
		require.Equal(t, shared, reverse)

		require.Equal(t, c.ALeast, bytes.Compare(c.APub, c.BPub) < 0)

		a, err := deriveKeys(shared, c.ALeast)
		require.NoError(t, err)
		require.Equal(t, []byte(c.ASendKey), a.send[:])
		require.Equal(t, []byte(c.ARecvKey), a.recv[:])
		require.Equal(t, []byte(c.Challenge), a.challenge[:])

		b, err := deriveKeys(shared, !c.ALeast)
		require.NoError(t, err)
		require.Equal(t, []byte(c.ARecvKey), b.send[:])
		require.Equal(t, []byte(c.ASendKey), b.recv[:])
		require.Equal(t, []byte(c.Challenge), b.challenge[:])
	}
}

func TestVectorsAuth(t *testing.T) {
	v := readVectors(t).Auth
	require.GreaterOrEqual(t, len(v), 5)

	own := [keySize]byte(pubKey(identity(0x77)))

	for _, c := range v {
		key := ed25519.NewKeyFromSeed(c.Seed)
		challenge := [challengeSize]byte(c.Challenge)

		signed := signAuth(key, challenge)
		require.Equal(t, []byte(c.Signature), signed.Signature[:])
		require.Equal(t, []byte(c.MessageC), wire.AppendAuth(nil, signed))

		plain, err := wire.DecodeAuth(c.MessageC[1:])
		require.NoError(t, err)
		require.NoError(t, checkAuth(plain, own, challenge))
		require.ErrorIs(t, checkAuth(plain, plain.PublicKey, challenge), ErrOwnKey)

		challenge[0] ^= 1
		require.ErrorIs(t, checkAuth(plain, own, challenge), ErrBadSignature)

		typed, err := wire.DecodeAuth(c.MessageAB[1:])
		require.NoError(t, err)
		require.ErrorIs(t, checkAuth(typed, own, challenge), ErrBadSignature)

		challenge[0] ^= 1
		require.NoError(t, checkAuth(typed, own, challenge))

		signed.Form = wire.AuthTyped
		require.Equal(t, []byte(c.MessageAB), wire.AppendAuth(nil, signed))
	}
}

func TestVectorsNonceIncrement(t *testing.T) {
	v := readVectors(t).NonceIncrement
	require.GreaterOrEqual(t, len(v), 5)

	for _, c := range v {
		n := nonce(c.Before)

		if c.Panic {
			require.ErrorIs(t, n.increment(), ErrNonceExhausted)
			require.Equal(t, nonce(c.Before), n)

			continue
		}

		require.NoError(t, n.increment())
		require.Equal(t, nonce(c.After), n)
	}
}

func TestVectorsFrames(t *testing.T) {
	v := readVectors(t).Frames
	require.GreaterOrEqual(t, len(v), 6)

	for _, c := range v {
		var original, clean []byte

		for i, f := range c.Frames {
			d, err := newDirection((*[keySize]byte)(c.Key))
			require.NoError(t, err)
			require.EqualValues(t, i, (*nonce)(f.Nonce).counter())
			d.nonce = nonce(f.Nonce)

			frame := bytes.Clone(f.Sealed)
			chunk, err := d.open(frame)
			require.NoError(t, err)
			require.Len(t, chunk, f.ChunkLen)
			require.Equal(t, []byte(f.Opened), frame[:openedFrameSize])

			original = append(original, f.Sealed...)
			clean = append(clean, f.SealedZero...)
		}

		d, err := newDirection((*[keySize]byte)(c.Key))
		require.NoError(t, err)

		var sealed bytes.Buffer

		w := &frameWriter{conn: &sealed, out: d}
		n, err := w.Write(c.Data)
		require.NoError(t, err)
		require.Equal(t, len(c.Data), n)
		require.Equal(t, clean, sealed.Bytes())

		for _, stream := range [][]byte{original, clean} {
			r := newFrameReader(bytes.NewReader(stream))
			r.in = d

			data, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, []byte(c.Data), data)
		}
	}
}

func TestVectorsLowOrderPoints(t *testing.T) {
	v := readVectors(t).LowOrderPoints
	require.GreaterOrEqual(t, len(v), 14)

	priv := fixedEphemeral(t, repeated(0x33)[:]).priv

	listed := 0

	for _, c := range v {
		remote := [keySize]byte(c.PublicKey)
		onList := slices.Contains(lowOrderPoints, remote)
		require.Equal(t, c.OnBlacklist, onList, "%x", remote)

		if onList {
			listed++
		}

		shared, err := sharedSecret(priv, remote)
		if c.Accepted {
			require.NoError(t, err, "%x", remote)
			require.Len(t, shared, keySize)

			continue
		}

		require.True(t, c.OnBlacklist || c.ZeroShared)
		require.ErrorIs(t, err, ErrLowOrderPoint, "%x", remote)
	}

	require.GreaterOrEqual(t, listed, 6)
	require.Len(t, lowOrderPoints, 7)

	// The seventh point is in docs/wire.md §3.1 but not in the vectors. Scalar
	// multiplication confirms each of them.
	for _, p := range lowOrderPoints {
		pub, err := ecdh.X25519().NewPublicKey(p[:])
		require.NoError(t, err)

		_, err = priv.ECDH(pub)
		require.Error(t, err, "%x", p)
	}
}
