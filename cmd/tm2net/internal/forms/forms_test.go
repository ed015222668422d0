package forms_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/forms"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestOfKey(t *testing.T) {
	key := types.GenerateNodeKey()
	f, err := forms.OfKey("file", key, "")
	require.NoError(t, err)
	require.Equal(t, key.ID(), f.ID)
	require.True(t, strings.HasPrefix(f.PeerID, "12D3KooW"))
	require.Empty(t, f.Address+f.Note)
	require.Empty(t, f.Multiaddrs)

	f, err = forms.OfKey("file", key, "[2001:4860::1]:26656")
	require.NoError(t, err)
	require.Equal(t, key.ID().String()+"@[2001:4860::1]:26656", f.Address)
	require.Equal(t, []string{"/ip6/2001:4860::1/tcp/26656/p2p/" + f.PeerID, "/ip6/2001:4860::1/udp/26656/quic-v1/p2p/" + f.PeerID}, f.Multiaddrs)
	_, err = forms.OfKey("file", key, "nowhere")
	require.ErrorContains(t, err, `"nowhere"`)
}

// Whatever form of a node is given, the same follows.
func TestParse(t *testing.T) {
	key := types.GenerateNodeKey()
	own, err := forms.OfKey("", key, "203.0.113.7:26656")
	require.NoError(t, err)
	for _, text := range []string{
		own.Multiaddrs[0], "/ip4/203.0.113.7/tcp/26656/ipfs/" + own.PeerID, "/ip6/::ffff:203.0.113.7/tcp/26656/p2p/" + own.PeerID,
	} {
		f, err := forms.Parse(text)
		require.NoError(t, err)
		require.Equal(t, own.ID, f.ID, text)
		require.Equal(t, own.PeerID, f.PeerID)
		if !strings.HasPrefix(text, "/ip6") {
			require.Equal(t, own.Address, f.Address)
			require.Equal(t, own.Multiaddrs, f.Multiaddrs)
		}
	}
	quic, err := forms.Parse(own.Multiaddrs[1])
	require.NoError(t, err)
	require.Equal(t, own.Multiaddrs[1:], quic.Multiaddrs, "nothing says that TCP is listened to")

	for _, text := range []string{own.PeerID, "/p2p/" + own.PeerID} {
		f, err := forms.Parse(text)
		require.NoError(t, err)
		require.Equal(t, forms.Forms{Of: text, ID: own.ID, PeerID: own.PeerID}, f)
	}
	for _, text := range []string{own.Address, "tcp://" + own.Address} {
		f, err := forms.Parse(text)
		require.NoError(t, err)
		require.Equal(t, own.Address, f.Address)
		require.Equal(t, "/ip4/203.0.113.7/tcp/26656", f.Multiaddrs[0])
		require.Contains(t, f.Note, "does not follow")
	}
	id, err := forms.Parse(own.ID.String())
	require.NoError(t, err)
	require.Equal(t, own.ID, id.ID)
	require.Contains(t, id.Note, "does not follow")
	bare, err := forms.Parse("seed.example.org:26656")
	require.NoError(t, err)
	require.Equal(t, []string{"/dns/seed.example.org/tcp/26656", "/dns/seed.example.org/udp/26656/quic-v1"}, bare.Multiaddrs)
	named, err := forms.Parse("/dns4/seed.example.org/tcp/26656/p2p/" + own.PeerID)
	require.NoError(t, err)
	require.Equal(t, own.ID.String()+"@seed.example.org:26656", named.Address)
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "neither",
		"something":                 "neither",
		"g1something":               "g1something",
		"x@203.0.113.7:1":           "x@203.0.113.7:1",
		"203.0.113.7:70000":         "not a port",
		":1":                        "host:port",
		"/ip4/203.0.113.7":          "not a host with a TCP port",
		"/ip4/203.0.113.7/udp/1":    "not a host with a TCP port",
		"/ip4/203.0.113.7/tcp/1/ws": "not a host with a TCP port",
		"a b:1":                     "nor a host name",
		"/nothing/1":                "nothing",
		"/unix/tmp":                 "not a host",
		strings.Repeat("a", 2000):   "more than 1024 bytes",
		"/ip4/203.0.113.7/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N": "does not contain its key",
	} {
		_, err := forms.Parse(text)
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"g1wv99ahpgctud4ukemn36q82lyp0rte24lmvulg@203.0.113.7:26656", "/ip4/203.0.113.7/udp/1/quic-v1", "a:1", "/p2p/x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := forms.Parse(text)
		if err != nil || parsed.Address == "" {
			return
		}
		again, err := forms.Parse(parsed.Address)
		require.NoError(t, err)
		require.Equal(t, parsed.Address, again.Address)
	})
}
