package control

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/edkey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func peerID(t testing.TB, key *types.NodeKey) peer.ID {
	t.Helper()
	id, err := p2paddr.PeerIDFromPublicKey(key.PrivKey.Public().(ed25519.PublicKey))
	require.NoError(t, err)

	return id
}

func allMessages() []Message {
	h := &Hello{Version: 1, Epoch: Epoch{1, 2, 3}, NodeInfo: []byte("node info")}
	delegated := *h
	delegated.Delegation = &Delegation{Key: [32]byte{4}, Signature: [64]byte{5}, Expires: 1 << 63}

	seen, seen6 := delegated, delegated
	seen.Version, seen6.Version = HostVersion, HostVersion
	for host, hello := range map[string]*Hello{"9.8.7.6/32": &seen, "2a00:1:2:3::/64": &seen6} {
		d := *delegated.Delegation
		d.Host = netip.MustParsePrefix(host)
		hello.Delegation = &d
	}

	return []Message{
		h, &delegated, &seen, &seen6,
		&Accept{Epoch: Epoch{6}, NodeInfo: []byte("node info")},
		&Reject{}, &Reject{Code: compat.RejectFull, Text: "40 of 40"},
		&Goodbye{}, &Goodbye{Answer: true},
		&Goodbye{Code: compat.RejectClosing, Text: "bye", Counts: []ChannelCount{{Channel: 0, Messages: 1 << 63}, {Channel: 0x20, Messages: 7}, {Channel: 0xff, Messages: 1}}},
	}
}

func TestControlRoundTrip(t *testing.T) {
	var all []byte
	for _, m := range allMessages() {
		all = Append(all, m)
	}
	r := bytes.NewReader(all)
	for _, want := range allMessages() {
		got, err := Read(r)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := Read(r)
	require.Equal(t, io.EOF, err)
}

func TestControlIsBounded(t *testing.T) {
	m := &Hello{Version: 1, NodeInfo: make([]byte, MaxSize)}
	_, err := Read(bytes.NewReader(Append(nil, m)))
	require.ErrorIs(t, err, ErrProtocol)

	largest := &Hello{Version: HostVersion, NodeInfo: make([]byte, types.MaxNodeInfoSize), Delegation: &Delegation{
		Expires: math.MaxUint64, Host: netip.MustParsePrefix("2a00::/64"),
	}}
	require.LessOrEqual(t, len(Append(nil, largest)), MaxSize)
}

func TestReasonText(t *testing.T) {
	long := strings.Repeat("x", MaxReasonText)
	require.Equal(t, long, reasonText(long+"y"))
	require.Equal(t, "a?b?? c", reasonText("a\nb\u00e9 c"))

	b := Append(nil, &Reject{Text: long + long})
	m, err := Read(bytes.NewReader(b))
	require.NoError(t, err)
	require.Equal(t, long, m.(*Reject).Text)
}

// What a refusal says of the clocks is read back, and nothing else is.
func TestSkewInARefusal(t *testing.T) {
	now := time.Now()
	for _, by := range []time.Duration{6 * time.Minute, -6 * time.Minute, 50 * time.Hour} {
		d := &Delegation{Expires: uint64(now.Add(by + DelegationLife).Unix())}
		ahead, ok := SkewIn(reasonText(d.skewed(ErrDelegationExpired, now).Error()))
		require.True(t, ok)
		require.InDelta(t, by, ahead, float64(2*time.Second))
	}
	for _, text := range []string{
		"", ErrDelegationExpired.Error(), skewOfDialer, skewOfDialer + "6m0s", skewOfDialer + "6m0s apart from the listener's",
		skewOfDialer + "-6m0s " + skewAhead, skewOfDialer + "long " + skewAhead, skewOfDialer + "9999999h " + skewAhead,
	} {
		_, ok := SkewIn(text)
		require.False(t, ok, "%q", text)
	}
}

func TestTruncatedControl(t *testing.T) {
	for _, m := range allMessages() {
		b := Append(nil, m)
		for n := 1; n < len(b); n++ {
			_, err := Read(bytes.NewReader(b[:n]))
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
	var e Epoch
	for i := range e {
		e[i] = byte(i)
	}
	require.Equal(t, "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5", peerID(t, dialer).String())
	expires := time.Unix(1_800_000_000, 0)
	d := SignDelegation(delegated.PrivKey, netip.Prefix{}, e, peerID(t, dialer), peerID(t, listener), expires)
	host := netip.MustParsePrefix("9.8.7.6/32")
	seen := SignDelegation(delegated.PrivKey, host, e, peerID(t, dialer), peerID(t, listener), expires)
	for name, v := range map[string]struct {
		bytes []byte
		hex   string
	}{
		"delegation": {DelegationBytes(netip.Prefix{}, e, peerID(t, dialer), peerID(t, listener), d.Expires), "" +
			"746d322d6c69627032702f73657373696f6e2f64656c65676174696f6e2f3100" +
			"10000102030405060708090a0b0c0d0e0f" +
			"260024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c" +
			"260024080112208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394" +
			"000000006b49d200"},
		"hello": {Append(nil, &Hello{Version: 1, Epoch: e, NodeInfo: []byte("NODEINFO")}),
			"200a1e08011210000102030405060708090a0b0c0d0e0f1a084e4f4445494e464f"},
		"delegated hello": {Append(nil, &Hello{Version: 1, Epoch: e, NodeInfo: []byte("NODEINFO"), Delegation: d}), "" +
			"8d010a8a0108011210000102030405060708090a0b0c0d0e0f1a084e4f4445494e464f226a" +
			"0a20" + hex.EncodeToString(d.Key[:]) + "1240" + hex.EncodeToString(d.Signature[:]) + "1880a4a7da06"},
		"what is signed with a host": {DelegationBytes(host, e, peerID(t, dialer), peerID(t, listener), d.Expires), "" +
			"746d322d6c69627032702f73657373696f6e2f64656c65676174696f6e2f3200" +
			"10000102030405060708090a0b0c0d0e0f" +
			"260024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c" +
			"260024080112208139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394" +
			"000000006b49d200" + "0409080706"},
		"hello with a host": {Append(nil, &Hello{Version: HostVersion, Epoch: e, NodeInfo: []byte("NODEINFO"), Delegation: seen}), "" +
			"93010a900108021210000102030405060708090a0b0c0d0e0f1a084e4f4445494e464f2270" +
			"0a20" + hex.EncodeToString(d.Key[:]) + "1240" + hex.EncodeToString(seen.Signature[:]) + "1880a4a7da06" + "220409080706"},
		"accept": {Append(nil, &Accept{Epoch: e, NodeInfo: []byte("NODEINFO")}),
			"1e121c0a10000102030405060708090a0b0c0d0e0f12084e4f4445494e464f"},
		"reject": {Append(nil, &Reject{Code: compat.RejectFull, Text: "no slot"}),
			"0d1a0b080112076e6f20736c6f74"},
		"goodbye": {Append(nil, &Goodbye{Counts: []ChannelCount{{Channel: 0x20, Messages: 3}, {Channel: 0x40, Messages: 300}}}),
			"11220f08001a04082010031a050840" + "10ac02"},
		"answer": {Append(nil, &Goodbye{Counts: []ChannelCount{{Channel: 0x20, Messages: 3}}, Answer: true}),
			"0c220a08001a04082010032001"},
	} {
		require.Equal(t, v.hex, hex.EncodeToString(v.bytes), name)
	}
	require.Equal(t, "ed4928c628d1c2c6eae90338905995612959273a5c63f93636c14614ac8737d1", hex.EncodeToString(d.Key[:]))
	require.Equal(t, delegated.ID(), types.IDFromPublicKey(d.Key[:]))
	require.Equal(t, "997006f5c0b210fc296b0e0e98dc76b5c8bc8bcdc57e8a7d7cbe1c397d89713f"+
		"a3ffac4c9970b1ebe0a15ba520d9dcb4dfe850b68f3582fa5c70c75cfd184b03", hex.EncodeToString(d.Signature[:]))
	require.Equal(t, "28230230ca88d61285315f40a72fc63ee03c44f429523ba3c80aeccfa280e646"+
		"02af2a85e53b68b38a5ac7586beddc9aef2af309bbfdc15635ef47fddafd8608", hex.EncodeToString(seen.Signature[:]))
}

// A Hello with a host has a version of its own, so that a listener that knows the first one
// alone refuses it as incompatible, and the host cannot be left out of it or added to another.
func TestHostOfADelegation(t *testing.T) {
	d := &Delegation{Host: netip.MustParsePrefix("9.8.7.6/32")}
	without, err := Read(bytes.NewReader(Append(nil, &Hello{Version: Version, NodeInfo: []byte("x"), Delegation: d})))
	require.NoError(t, err)
	require.False(t, without.(*Hello).Delegation.Host.IsValid())
	_, err = Read(bytes.NewReader(Append(nil, &Hello{Version: HostVersion, NodeInfo: []byte("x")})))
	require.ErrorIs(t, err, ErrProtocol)

	body := (&Hello{Version: HostVersion, NodeInfo: []byte("x"), Delegation: d}).AppendBody(nil)
	at := bytes.LastIndex(body, []byte{9, 8, 7, 6})
	require.Positive(t, at)
	for _, length := range []byte{0, 3, 5} {
		wrong := bytes.Clone(body)
		wrong[at-1] = length
		_, err = Decode(AppendBytes(nil, KindHello, wrong))
		require.ErrorIs(t, err, ErrProtocol, length)
	}
}

func FuzzControl(f *testing.F) {
	for _, m := range allMessages() {
		f.Add(AppendBytes(nil, m.Kind(), m.AppendBody(nil)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := Decode(body)
		if err != nil {
			require.ErrorIs(t, err, ErrProtocol)

			return
		}
		if h, ok := m.(*Hello); ok && h.Version != Version && h.Version != HostVersion {
			return
		}
		again, err := Read(bytes.NewReader(Append(nil, m)))
		if errors.Is(err, ErrProtocol) {
			require.Greater(t, len(body), MaxSize-10)

			return
		}
		require.NoError(t, err)
		require.Equal(t, m, again)
	})
}

func FuzzReadControl(f *testing.F) {
	for _, m := range allMessages() {
		f.Add(Append(nil, m))
	}
	f.Add(bytes.Repeat([]byte{0xff}, 11))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			if _, err := Read(r); err != nil {
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
		d := new(Delegation)
		copy(d.Key[:], key)
		copy(d.Signature[:], signature)
		var e Epoch
		now := time.Unix(0, 0)
		_, err := d.Verify(e, peerID(t, dialer), peerID(t, listener), now)
		require.Error(t, err)

		good := SignDelegation(signer.PrivKey, netip.Prefix{}, e, peerID(t, dialer), peerID(t, listener), now)
		for i, b := range signature[:min(len(signature), len(good.Signature))] {
			good.Signature[i] ^= b
		}
		_, err = good.Verify(e, peerID(t, dialer), peerID(t, listener), now)
		changed := len(bytes.Trim(signature[:min(len(signature), len(good.Signature))], "\x00")) > 0
		require.Equal(t, changed, err != nil)
	})
}
