package wire_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// addCases seeds f with the bodies of the recorded cases of one kind.
func addCases(f *testing.F, kind string, sized bool) {
	f.Helper()

	added := 0

	for _, c := range loadByteCases(f) {
		if c.Kind != kind {
			continue
		}

		added++

		f.Add([]byte(c.Input))

		if b, err := wire.ReadSized(bytes.NewReader(c.Input), maxHandshake); sized && err == nil {
			f.Add(b)
		}
	}

	require.NotZero(f, added, kind)
}

func FuzzReadSized(f *testing.F) {
	addCases(f, "packet-stream", false)
	addCases(f, "sts-ephemeral", false)

	for _, v := range loadVectors(f).Packets {
		f.Add([]byte(v.Sized))
	}

	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bytes.NewReader(stream)

		b, err := wire.ReadSized(r, maxPacket)
		if err != nil {
			return
		}

		used := len(stream) - r.Len()
		require.LessOrEqual(t, used, maxPacket)
		require.True(t, bytes.HasSuffix(stream[:used], b))
	})
}

func FuzzDecodeEphemeral(f *testing.F) {
	addCases(f, "sts-ephemeral", true)

	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := wire.DecodeEphemeral(b)
		if err != nil {
			return
		}

		again, err := wire.DecodeEphemeral(body(t, wire.AppendEphemeral(nil, key), maxHandshake))
		require.NoError(t, err)
		require.Equal(t, key, again)
	})
}

func FuzzDecodeAuth(f *testing.F) {
	addCases(f, "sts-auth-message", true)

	for _, v := range loadVectors(f).Auth {
		f.Add(body(f, v.AB, maxHandshake))
		f.Add(body(f, v.C, maxHandshake))
	}

	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := wire.DecodeAuth(b)
		if err != nil {
			return
		}

		again, err := wire.DecodeAuth(body(t, wire.AppendAuth(nil, a), maxHandshake))
		require.NoError(t, err)
		require.Equal(t, a, again)
	})
}

func FuzzDecodeNodeInfo(f *testing.F) {
	addCases(f, "node-info", true)

	for _, v := range loadVectors(f).NodeInfo {
		f.Add(body(f, v.A, maxNodeInfo))
		f.Add(body(f, v.BC, maxNodeInfo))
	}

	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := wire.DecodeNodeInfo(b)
		if err != nil {
			return
		}

		encoded := wire.AppendNodeInfo(nil, &n)
		require.LessOrEqual(t, len(encoded), len(b), "the encoder writes the shortest form")

		again, err := wire.DecodeNodeInfo(encoded)
		require.NoError(t, err)
		require.Equal(t, n, again)
	})
}

func FuzzDecodePacket(f *testing.F) {
	addCases(f, "packet-stream", true)

	for _, v := range loadVectors(f).Packets {
		f.Add(body(f, v.Sized, maxPacket))
	}

	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := wire.DecodePacket(b)
		if err != nil {
			require.Zero(t, p)

			return
		}

		again, err := wire.DecodePacket(body(t, appendPacket(t, nil, p), maxHandshake))
		require.NoError(t, err)
		require.Equal(t, p.Kind, again.Kind)
		require.Equal(t, p.Channel, again.Channel)
		require.Equal(t, p.EOF, again.EOF)
		require.True(t, bytes.Equal(p.Payload, again.Payload))
	})
}

func FuzzDecodeDiscovery(f *testing.F) {
	addCases(f, "discovery-message", false)

	for _, v := range loadVectors(f).Discovery {
		f.Add([]byte(v.Any))
	}

	f.Fuzz(func(t *testing.T, msg []byte) {
		addrs, request, err := wire.DecodeDiscovery(msg)
		if err != nil {
			require.Nil(t, addrs)
			require.False(t, request)

			return
		}

		require.LessOrEqual(t, len(addrs), 30)
		require.Equal(t, request, len(addrs) == 0)

		if request {
			return
		}

		again, _, err := wire.DecodeDiscovery(wire.AppendResponse(nil, addrs))
		require.NoError(t, err)
		require.Equal(t, addrs, again)
	})
}
