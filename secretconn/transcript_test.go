package secretconn

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// transcript is a recorded session of two nodes with fixed keys, or of the recorder
// and a node whose private keys are unknown.
type transcript struct {
	Dialect          string           `json:"dialect"`
	Dialer           transcriptSide   `json:"dialer"`
	Listener         transcriptSide   `json:"listener"`
	DialerToListener transcriptStream `json:"dialer_to_listener"`
	ListenerToDialer transcriptStream `json:"listener_to_dialer"`
}

type transcriptSide struct {
	Seed             hexBytes `json:"ed25519_seed"`
	EphemeralPrivate hexBytes `json:"ephemeral_private"`
	EphemeralPublic  hexBytes `json:"ephemeral_public"`
}

type transcriptStream struct {
	Ephemeral hexBytes          `json:"ephemeral_message"`
	Raw       hexBytes          `json:"raw_stream"`
	Frames    []transcriptFrame `json:"frames"`
}

type transcriptFrame struct {
	Sealed   hexBytes `json:"sealed"`
	Opened   hexBytes `json:"opened"`
	Chunk    hexBytes `json:"chunk"`
	ChunkLen int      `json:"chunk_len"`
}

// recordedConn replays the data of the other side and records writes.
type recordedConn struct {
	net.Conn

	in  io.Reader
	out bytes.Buffer
}

func (c *recordedConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *recordedConn) Write(p []byte) (int, error) { return c.out.Write(p) }

func TestTranscript(t *testing.T) {
	files, err := filepath.Glob("testdata/*_*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 2)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { replay(t, file) })
	}
}

// replay takes the place of each side of a recorded session whose private keys are
// known. It does not know the dialect.
func replay(t *testing.T, file string) {
	t.Helper()

	var tr transcript

	readJSON(t, file, &tr)
	require.NotEmpty(t, tr.DialerToListener.Frames)
	require.NotEmpty(t, tr.ListenerToDialer.Frames)

	dialect := DialectPlain
	if tr.Dialect != "C" {
		dialect = DialectTyped
	}

	whole := func(r io.Reader) io.Reader { return r }

	for _, c := range []struct {
		name          string
		own, remote   transcriptSide
		sent, arrived transcriptStream
		pace          func(io.Reader) io.Reader
	}{
		{"as dialer", tr.Dialer, tr.Listener, tr.DialerToListener, tr.ListenerToDialer, whole},
		{"as listener", tr.Listener, tr.Dialer, tr.ListenerToDialer, tr.DialerToListener, whole},
		{"as dialer, byte by byte", tr.Dialer, tr.Listener, tr.DialerToListener, tr.ListenerToDialer, iotest.OneByteReader},
		{"as listener, end with the data", tr.Listener, tr.Dialer, tr.ListenerToDialer, tr.DialerToListener, iotest.DataErrReader},
	} {
		if len(c.own.Seed) == 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			conn := &recordedConn{in: c.pace(bytes.NewReader(c.arrived.Raw))}

			sc, err := makeSecretConnection(conn, ed25519.NewKeyFromSeed(c.own.Seed), fixedEphemeral(t, c.own.EphemeralPrivate))
			require.NoError(t, err)
			if len(c.remote.Seed) > 0 {
				require.Equal(t, pubKey(ed25519.NewKeyFromSeed(c.remote.Seed)), sc.RemotePubKey())
			}
			require.Equal(t, dialect, sc.Dialect())

			checkArrived(t, sc, c.arrived)

			for _, f := range c.sent.Frames[1:] { // the handshake sent the first one
				n, err := sc.Write(f.Chunk)
				require.NoError(t, err)
				require.Equal(t, f.ChunkLen, n)
			}

			checkSent(t, conn.out.Bytes(), c.own, c.remote, c.sent)
		})
	}
}

// checkArrived reads the whole recorded stream, up to its end.
func checkArrived(t *testing.T, sc *SecretConnection, arrived transcriptStream) {
	t.Helper()

	got, err := io.ReadAll(sc)
	require.NoError(t, err)

	var want []byte

	for _, f := range arrived.Frames[1:] {
		want = append(want, f.Chunk...)
	}

	require.Equal(t, want, got)
}

// checkSent compares our data with that of the recorded node: the sealed bytes, with
// the node's padding zeroed, and the content of the node's own frames.
func checkSent(t *testing.T, got []byte, own, remote transcriptSide, sent transcriptStream) {
	t.Helper()

	shared, err := sharedSecret(fixedEphemeral(t, own.EphemeralPrivate).priv, [keySize]byte(remote.EphemeralPublic))
	require.NoError(t, err)
	keys, err := deriveKeys(shared, bytes.Compare(own.EphemeralPublic, remote.EphemeralPublic) < 0)
	require.NoError(t, err)

	want := bytes.Clone(sent.Ephemeral)
	require.Equal(t, []byte(sent.Ephemeral), wire.AppendEphemeral(nil, [keySize]byte(own.EphemeralPublic)))

	recorded, err := newDirection(&keys.send)
	require.NoError(t, err)

	for i, f := range sent.Frames {
		require.EqualValues(t, f.ChunkLen, binary.LittleEndian.Uint32(f.Opened))
		want = append(want, sealRaw(t, &keys.send, uint64(i), uint32(f.ChunkLen), f.Chunk, 0)...)

		frame := bytes.Clone(f.Sealed)
		chunk, err := recorded.open(frame)
		require.NoError(t, err)
		require.Equal(t, []byte(f.Chunk), chunk)
		require.Equal(t, []byte(f.Opened), frame[:openedFrameSize])
	}

	require.Len(t, got, len(sent.Raw))
	require.Equal(t, want, got)
}
