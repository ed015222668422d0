package transcript_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/fakenode"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/transcript"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// requireExplained checks that each byte of the streams is explained once, and that nothing in
// them was not understood.
func requireExplained(t *testing.T, tr *transcript.Transcript) {
	t.Helper()
	dialer, listener, err := tr.Explain()
	require.NoError(t, err)
	for _, side := range []struct {
		stream transcript.Stream
		x      transcript.Explained
	}{{tr.DialerToListener, dialer}, {tr.ListenerToDialer, listener}} {
		var chunks, opened []byte
		for i, f := range side.stream.Frames {
			chunks = append(chunks, f.Chunk...)
			opened = append(append(opened, f.Opened...), side.stream.Raw[35+i*1044+1028:][:16]...)
		}
		require.Equal(t, append(bytes.Clone(side.stream.Raw[:35]), opened...), joined(side.x.Wire))
		require.Equal(t, chunks, joined(side.x.Messages))
		for _, s := range append(side.x.Wire, side.x.Messages...) {
			require.NotContains(t, s.Title, "refused")
			for _, span := range s.Spans {
				require.NotEmpty(t, span.Text)
				require.NotRegexp(t, "^not |missing|not known", span.Text)
			}
		}
		require.Contains(t, side.x.Messages[0].Title, "whose signature is valid")
	}
}

// joined returns the bytes of all spans.
func joined(sections []transcript.Section) (all []byte) {
	for _, s := range sections {
		for _, span := range s.Spans {
			if !s.Again {
				all = append(all, span.Bytes...)
			}
		}
	}

	return all
}

// The recorded sessions of real nodes are explained whole.
func TestRecordedSessions(t *testing.T) {
	files, err := filepath.Glob("../../../../secretconn/testdata/*_*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 2)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			tr, err := transcript.Read(file)
			require.NoError(t, err)
			requireExplained(t, tr)
			var text bytes.Buffer
			require.NoError(t, tr.WriteText(&text, false))
			require.Contains(t, text.String(), "NodeInfo (§4)")
		})
	}
}

// startNode starts a native node with peer exchange that knows one other node.
func startNode(t *testing.T) types.NetAddress {
	t.Helper()
	loopback := net.IPv4(127, 0, 0, 1)
	key := types.GenerateNodeKey()
	info := types.NodeInfo{
		NetAddress: &types.NetAddress{ID: key.ID(), IP: loopback}, Network: "test", Moniker: "recorded node", Channels: []byte{pex.Channel},
	}
	tr := native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil)
	require.NoError(t, tr.Listen(types.NetAddress{IP: loopback}))
	book, err := addrbook.Open("", types.NetAddress{})
	require.NoError(t, err)
	other := &types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: loopback, Port: 1}
	book.MarkAnswered(other, types.StackNative)
	sw := adapter.NewMultiplexSwitch(tr, adapter.WithReactor("pex", pex.NewReactor(book)), adapter.WithAllowDuplicateIP(true))
	require.NoError(t, sw.Start())
	t.Cleanup(func() {
		require.NoError(t, sw.Stop())
		require.NoError(t, tr.Close())
	})

	return tr.NetAddress()
}

func TestRecord(t *testing.T) {
	at := startNode(t)
	tr, err := transcript.Record(t.Context(), at.String(), time.Second)
	require.NoError(t, err)
	require.Equal(t, "C", tr.Dialect)
	require.Equal(t, at.ID, tr.Listener.NodeID)
	requireExplained(t, tr)
	var text bytes.Buffer
	require.NoError(t, tr.WriteText(&text, true))
	for _, want := range []string{`"recorded node"`, `"/p2p.Request"`, `"/p2p.Pong"`, "channel 0x50, discovery", "padding, all zero"} {
		require.Contains(t, text.String(), want)
	}

	file := filepath.Join(t.TempDir(), "session.json")
	f, err := os.Create(file)
	require.NoError(t, err)
	require.NoError(t, tr.Write(f))
	require.NoError(t, f.Close())
	again, err := transcript.Read(file)
	require.NoError(t, err)
	require.Equal(t, tr, again)
	replay(t, again)
}

// replay takes the place of the dialer of a recording, as the tests of secretconn do.
func replay(t *testing.T, tr *transcript.Transcript) {
	t.Helper()
	conn := &replayed{in: bytes.NewReader(tr.ListenerToDialer.Raw)}
	sc, err := secretconn.MakeRecordedConnection(conn, ed25519.NewKeyFromSeed(tr.Dialer.Seed), [32]byte(tr.Dialer.EphemeralPrivate))
	require.NoError(t, err)
	require.Equal(t, tr.Listener.NodeID, types.IDFromPublicKey(sc.RemotePubKey()))
	for _, f := range tr.DialerToListener.Frames[1:] {
		_, err := sc.Write(f.Chunk)
		require.NoError(t, err)
	}
	require.Equal(t, []byte(tr.DialerToListener.Raw), conn.out.Bytes())
}

type replayed struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *replayed) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *replayed) Write(p []byte) (int, error) { return c.out.Write(p) }

func TestRecordOfAnotherNode(t *testing.T) {
	at := startNode(t)
	asked := types.GenerateNodeKey().ID()
	tr, err := transcript.Record(t.Context(), asked.String()+"@"+at.DialString(), 0)
	var wrong *compat.WrongIDError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, at.ID, wrong.Found)
	require.NotEmpty(t, tr.ListenerToDialer.Frames, "what was recorded until then")
}

// A node that makes the recorder send much, by pings that cost little, is recorded up to a limit.
func TestRecordOfAFlood(t *testing.T) {
	const limit, frame = 4 << 20, 1044
	node := fakenode.Start(t, "127.0.0.1", fakenode.Info(0x20), func(c *fakenode.Conn) {
		c.Greet()
		c.Message(bytes.Repeat(wire.AppendPing(nil), 2*limit/frame))
		c.Drain()
	})
	tr, err := transcript.Record(t.Context(), node.Addr(), time.Minute) // it ends at the limit
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(tr.DialerToListener.Raw), limit)
	require.LessOrEqual(t, len(tr.DialerToListener.Raw), limit+frame)
	require.Less(t, len(tr.ListenerToDialer.Raw), limit)
}

// What is no native node is recorded and shown as it is.
func TestRecordOfSomethingElse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, err = conn.Write([]byte("SSH-2.0-\x1b[2J something that is longer than an ephemeral message\r\n"))
			_, _ = conn.Read(make([]byte, 64))
			_ = conn.Close()
		}
		done <- err
	}()
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		require.NoError(t, <-done)
	})
	tr, err := transcript.Record(t.Context(), listener.Addr().String(), 0)
	require.ErrorContains(t, err, "handshake")
	var text bytes.Buffer
	require.NoError(t, tr.WriteText(&text, false))
	require.Contains(t, text.String(), "not an ephemeral message")
	require.NotContains(t, text.String(), "\x1b")
}

func TestRecordEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		cancel() // while the recorder waits
		_, _ = conn.Read(make([]byte, 64))
		_ = conn.Close()
	}()
	_, err = transcript.Record(ctx, listener.Addr().String(), 0)
	require.ErrorIs(t, err, context.Canceled)
}

func TestReadRefusesOtherFiles(t *testing.T) {
	for want, content := range map[string]string{
		"no transcript": "nothing", "no raw_stream": "{}", "encoding/hex": `{"dialer_to_listener":{"raw_stream":"xx"}}`,
	} {
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		_, err := transcript.Read(file)
		require.ErrorContains(t, err, want)
	}
}

// FuzzExplain checks that any bytes are explained, each once.
func FuzzExplain(f *testing.F) {
	files, err := filepath.Glob("../../../../secretconn/testdata/*_*.json")
	require.NoError(f, err)
	for _, file := range files {
		tr, err := transcript.Read(file)
		require.NoError(f, err)
		var stream []byte
		for _, frame := range tr.ListenerToDialer.Frames {
			stream = append(stream, frame.Chunk...)
		}
		f.Add(stream)
	}
	f.Add([]byte{0x0b, 0x0a, 0x09, '/', 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		require.Equal(t, stream, append([]byte{}, joined(transcript.ExplainMessages(stream, [32]byte{}))...))
	})
}
