package secretconn

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

var (
	recordFrom = flag.String("record", "", "record a session with the node at this ID@IP:port")
	recordName = flag.String("record-name", "C_recorded", "file in testdata for the session, without .json")
)

const (
	recordTimeout = 10 * time.Second
	recordPackets = 100 // most packets read while waiting for the pong
)

// TestRecordTranscript records a session with the node given by -record:
//
//	go test ./secretconn -run TestRecordTranscript -record g1...@127.0.0.1:26656 -record-name C_v1.8.0
//
// TestTranscript replays all recordings.
func TestRecordTranscript(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()

	addr, dir := *recordFrom, "testdata"
	if addr == "" { // test the recorder with a node of our own
		node := types.NodeKey{PrivKey: identity(7)}
		addr, dir = types.NetAddressString(node.ID(), l.Addr().String()), t.TempDir()

		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { answerRecorder(t, l, node) })
	}

	file := filepath.Join(dir, *recordName+".json")
	record(t, addr, file)
	replay(t, file)
}

// tapConn records the data of both directions.
type tapConn struct {
	net.Conn

	mtx      sync.Mutex
	sent     bytes.Buffer
	received bytes.Buffer
}

func (c *tapConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)

	c.mtx.Lock()
	defer c.mtx.Unlock()
	c.received.Write(p[:n])

	return n, err
}

func (c *tapConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)

	c.mtx.Lock()
	defer c.mtx.Unlock()
	c.sent.Write(p[:n])

	return n, err
}

// record dials the node with fixed keys, sends it a NodeInfo like its own, pings it,
// and writes the session to file.
func record(t *testing.T, addr, file string) {
	t.Helper()

	remote, err := types.NewNetAddressFromString(addr)
	require.NoError(t, err)
	conn, err := net.Dial("tcp", remote.DialString())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(recordTimeout)))

	var (
		tap  = &tapConn{Conn: conn}
		key  = identity(0xa1)
		seed = bytes.Repeat([]byte{0x11}, keySize)
	)
	sc, err := makeSecretConnection(tap, key, fixedEphemeral(t, seed))
	require.NoError(t, err)
	require.Equal(t, remote.ID, types.IDFromPublicKey(sc.RemotePubKey()))
	dialect := mirrorNodeInfo(t, sc, key)
	awaitPong(t, sc)
	require.NoError(t, sc.Close())

	writeTranscript(t, file, transcriptOf(t, tap, key, seed, dialect))
}

// mirrorNodeInfo sends the remote's NodeInfo back with our ID, since that is always
// compatible. It returns the dialect of the node.
func mirrorNodeInfo(t *testing.T, sc *SecretConnection, key ed25519.PrivateKey) string {
	t.Helper()

	body, err := wire.ReadSized(sc, types.MaxNodeInfoSize)
	require.NoError(t, err)
	info, err := wire.DecodeNodeInfo(body)
	require.NoError(t, err)

	dialect := "C"
	if sc.Dialect() == DialectTyped {
		dialect = "B"
	}
	id, host, found := bytes.Cut([]byte(info.NetAddress), []byte("@"))
	require.NotEmpty(t, id)
	info.NetAddress = string(types.IDFromPublicKey(pubKey(key)))
	if found {
		info.NetAddress += "@" + string(host)
	} else {
		dialect = "A"
	}
	_, err = sc.Write(wire.AppendSized(nil, wire.AppendNodeInfo(nil, &info)))
	require.NoError(t, err)

	return dialect
}

func awaitPong(t *testing.T, sc *SecretConnection) {
	t.Helper()

	_, err := sc.Write(wire.AppendPing(nil))
	require.NoError(t, err)
	for range recordPackets {
		body, err := wire.ReadSized(sc, wire.MaxPacketSize(65536))
		require.NoError(t, err)
		packet, err := wire.DecodePacket(body)
		require.NoError(t, err)
		if packet.Kind == wire.PacketPong {
			return
		}
	}
	require.Fail(t, "no pong came")
}

// transcriptOf decodes the recorded streams. It lacks the remote's private keys, which
// are unknown.
func transcriptOf(t *testing.T, tap *tapConn, key ed25519.PrivateKey, seed []byte, dialect string) transcript {
	t.Helper()

	own := fixedEphemeral(t, seed)
	body, err := wire.ReadSized(bytes.NewReader(tap.received.Bytes()), maxEphemeralSize)
	require.NoError(t, err)
	remote, err := wire.DecodeEphemeral(body)
	require.NoError(t, err)
	keys, err := own.agree(remote)
	require.NoError(t, err)

	return transcript{
		Dialect: dialect,
		Dialer: transcriptSide{
			Seed: key.Seed(), EphemeralPrivate: seed, EphemeralPublic: own.pub[:],
		},
		Listener:         transcriptSide{EphemeralPublic: remote[:]},
		DialerToListener: streamOf(t, tap.sent.Bytes(), &keys.send),
		ListenerToDialer: streamOf(t, tap.received.Bytes(), &keys.recv),
	}
}

// streamOf opens the frames of one direction. It omits a frame that the end of the
// recording cut.
func streamOf(t *testing.T, raw []byte, key *[keySize]byte) transcriptStream {
	t.Helper()

	const ephemeralSize = 35
	d, err := newDirection(key)
	require.NoError(t, err)
	whole := (len(raw) - ephemeralSize) / sealedFrameSize
	raw = raw[:ephemeralSize+whole*sealedFrameSize]
	s := transcriptStream{Ephemeral: raw[:ephemeralSize], Raw: raw}
	for i := range whole {
		sealed := raw[ephemeralSize+i*sealedFrameSize:][:sealedFrameSize]
		opened := bytes.Clone(sealed)
		chunk, err := d.open(opened)
		require.NoError(t, err)
		s.Frames = append(s.Frames, transcriptFrame{
			Sealed: sealed, Opened: opened[:openedFrameSize], Chunk: bytes.Clone(chunk), ChunkLen: len(chunk),
		})
	}

	return s
}

// MarshalText implements encoding.TextMarshaler.
func (h hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

func writeTranscript(t *testing.T, file string, tr transcript) {
	t.Helper()

	data, err := json.MarshalIndent(tr, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(data, '\n'), 0o644))
}

// answerRecorder plays a node for the test of the recorder.
func answerRecorder(t *testing.T, l net.Listener, node types.NodeKey) {
	conn, err := l.Accept()
	if err != nil {
		t.Errorf("accept: %v", err)

		return
	}
	defer conn.Close()
	sc, err := MakeSecretConnection(conn, node.PrivKey)
	if err != nil {
		t.Errorf("handshake: %v", err)

		return
	}
	info := wire.NodeInfo{NetAddress: types.NetAddressString(node.ID(), l.Addr().String()), Network: "n", Moniker: "m"}
	for _, message := range [][]byte{
		wire.AppendSized(nil, wire.AppendNodeInfo(nil, &info)),
		wire.AppendMsg(nil, 0x20, true, []byte("something else first")),
		wire.AppendPong(nil),
	} {
		if _, err := sc.Write(message); err != nil {
			t.Errorf("write: %v", err)
		}
	}
	if _, err := io.Copy(io.Discard, sc); err != nil {
		t.Errorf("read: %v", err)
	}
}
