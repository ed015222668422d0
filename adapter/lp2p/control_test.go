package lp2p

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/edkey"
)

func allMessages() []controlMessage {
	h := &hello{version: 1, epoch: epoch{1, 2, 3}, nodeInfo: []byte("node info")}
	delegated := *h
	delegated.delegation = &delegation{key: [32]byte{4}, signature: [64]byte{5}, expires: 1 << 63}

	return []controlMessage{
		h, &delegated,
		&accept{epoch: epoch{6}, nodeInfo: []byte("node info")},
		&reject{}, &reject{code: compat.RejectFull, text: "40 of 40"},
		&goodbye{}, &goodbye{answer: true},
		&goodbye{code: compat.RejectClosing, text: "bye", counts: []channelCount{{0, 1 << 63}, {0x20, 7}, {0xff, 1}}},
	}
}

func TestControlRoundTrip(t *testing.T) {
	var all []byte
	for _, m := range allMessages() {
		all = appendControl(all, m)
	}
	r := bytes.NewReader(all)
	for _, want := range allMessages() {
		got, err := readControl(r)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := readControl(r)
	require.Equal(t, io.EOF, err)
}

func TestControlIsBounded(t *testing.T) {
	m := &hello{version: 1, nodeInfo: make([]byte, maxControlSize)}
	_, err := readControl(bytes.NewReader(appendControl(nil, m)))
	require.ErrorIs(t, err, ErrProtocol)

	largest := &hello{version: 1, nodeInfo: make([]byte, types.MaxNodeInfoSize), delegation: &delegation{expires: math.MaxUint64}}
	require.LessOrEqual(t, len(appendControl(nil, largest)), maxControlSize)
}

func TestReasonText(t *testing.T) {
	long := strings.Repeat("x", maxReasonText)
	require.Equal(t, long, reasonText(long+"y"))
	require.Equal(t, "a?b?? c", reasonText("a\nb\u00e9 c"))

	b := appendControl(nil, &reject{text: long + long})
	m, err := readControl(bytes.NewReader(b))
	require.NoError(t, err)
	require.Equal(t, long, m.(*reject).text)
}

func TestTruncatedControl(t *testing.T) {
	for _, m := range allMessages() {
		b := appendControl(nil, m)
		for n := 1; n < len(b); n++ {
			_, err := readControl(bytes.NewReader(b[:n]))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
	}
}

// The examples of docs/sessions.md.
func TestVectors(t *testing.T) {
	key := func(seed byte) *types.NodeKey {
		return &types.NodeKey{PrivKey: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))}
	}
	dialer, listener, delegated := key(1), key(2), key(3)
	var e epoch
	for i := range e {
		e[i] = byte(i)
	}
	require.Equal(t, "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5", peerID(t, dialer).String())
	expires := time.Unix(1_800_000_000, 0)
	d := signDelegation(delegated.PrivKey, e, peerID(t, dialer), peerID(t, listener), expires)
	for name, v := range map[string]struct {
		bytes []byte
		hex   string
	}{
		"delegation": {delegationBytes(e, peerID(t, dialer), peerID(t, listener), d.expires), "" +
			"746d322d6c69627032702f73657373696f6e2f64656c65676174696f6e2f3100" +
			"10000102030405060708090a0b0c0d0e0f" +
			"260024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c" +
			"260024080112208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394" +
			"000000006b49d200"},
		"hello": {appendControl(nil, &hello{version: 1, epoch: e, nodeInfo: []byte("NODEINFO")}),
			"200a1e08011210000102030405060708090a0b0c0d0e0f1a084e4f4445494e464f"},
		"delegated hello": {appendControl(nil, &hello{version: 1, epoch: e, nodeInfo: []byte("NODEINFO"), delegation: d}), "" +
			"8d010a8a0108011210000102030405060708090a0b0c0d0e0f1a084e4f4445494e464f226a" +
			"0a20" + hex.EncodeToString(d.key[:]) + "1240" + hex.EncodeToString(d.signature[:]) + "1880a4a7da06"},
		"accept": {appendControl(nil, &accept{epoch: e, nodeInfo: []byte("NODEINFO")}),
			"1e121c0a10000102030405060708090a0b0c0d0e0f12084e4f4445494e464f"},
		"reject": {appendControl(nil, &reject{code: compat.RejectFull, text: "no slot"}),
			"0d1a0b080112076e6f20736c6f74"},
		"goodbye": {appendControl(nil, &goodbye{counts: []channelCount{{0x20, 3}, {0x40, 300}}}),
			"11220f08001a04082010031a050840" + "10ac02"},
		"answer": {appendControl(nil, &goodbye{counts: []channelCount{{0x20, 3}}, answer: true}),
			"0c220a08001a04082010032001"},
	} {
		require.Equal(t, v.hex, hex.EncodeToString(v.bytes), name)
	}
	require.Equal(t, "ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1", hex.EncodeToString(d.key[:]))
	require.Equal(t, delegated.ID(), types.IDFromPublicKey(d.key[:]))
	require.Equal(t, "997006f5c0b210fc296b0e0e98dc76b5c8bc8bcdc57e8a7d7cbe1c397d89713f"+
		"a3ffac4c9970b1ebe0a15ba520d9dcb4dfe850b68f3582fa5c70c75cfd184b03", hex.EncodeToString(d.signature[:]))
}

func FuzzControl(f *testing.F) {
	for _, m := range allMessages() {
		f.Add(appendBytes(nil, m.kind(), m.appendBody(nil)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := decodeControl(body)
		if err != nil {
			require.ErrorIs(t, err, ErrProtocol)

			return
		}
		if h, ok := m.(*hello); ok && h.version != sessionVersion {
			return
		}
		again, err := readControl(bytes.NewReader(appendControl(nil, m)))
		if errors.Is(err, ErrProtocol) {
			require.Greater(t, len(body), maxControlSize-10)

			return
		}
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}

func FuzzReadControl(f *testing.F) {
	for _, m := range allMessages() {
		f.Add(appendControl(nil, m))
	}
	f.Add(bytes.Repeat([]byte{0xff}, 11))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			if _, err := readControl(r); err != nil {
				return
			}
		}
	})
}

// No delegation verifies for bytes that its key has not signed.
func FuzzDelegation(f *testing.F) {
	dialer, listener := types.GenerateNodeKey(), types.GenerateNodeKey()
	signer := types.GenerateNodeKey()
	f.Add(make([]byte, 32), make([]byte, 64))
	f.Add([]byte(signer.PrivKey[32:]), make([]byte, 64))
	for _, p := range edkey.LowOrderPoints {
		f.Add(p[:], make([]byte, 64))
	}
	f.Fuzz(func(t *testing.T, key, signature []byte) {
		d := new(delegation)
		copy(d.key[:], key)
		copy(d.signature[:], signature)
		var e epoch
		now := time.Unix(0, 0)
		_, err := d.verify(e, peerID(t, dialer), peerID(t, listener), now)
		require.Error(t, err)

		good := signDelegation(signer.PrivKey, e, peerID(t, dialer), peerID(t, listener), now)
		for i, b := range signature[:min(len(signature), len(good.signature))] {
			good.signature[i] ^= b
		}
		_, err = good.verify(e, peerID(t, dialer), peerID(t, listener), now)
		changed := len(bytes.Trim(signature[:min(len(signature), len(good.signature))], "\x00")) > 0
		require.Equal(t, changed, err != nil)
	})
}
