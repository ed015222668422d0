package native

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

// recordings are the parts of vectors.json on which the cases rest.
type recordings struct {
	NodeKeys    []struct{ Seed hexBytes }      `json:"node_keys"`
	KeySchedule []struct{ Challenge hexBytes } `json:"key_schedule"`
}

var readRecordings = sync.OnceValues(func() (r recordings, err error) {
	data, err := os.ReadFile(vectorsFile)
	if err != nil {
		return r, err
	}

	return r, json.Unmarshal(data, &r)
})

// verdictKeys are the keys of the two nodes in the cases: the remote, and the one
// that judges.
func verdictKeys(t testing.TB) (remote, judge ed25519.PrivateKey) {
	t.Helper()
	r, err := readRecordings()
	require.NoError(t, err)

	return ed25519.NewKeyFromSeed(r.NodeKeys[0].Seed), ed25519.NewKeyFromSeed(r.NodeKeys[1].Seed)
}

// secured is what a secret connection became of.
type secured struct {
	conn *secretconn.SecretConnection
	err  error
}

// secure runs the secret connection of the judging node against the peer.
func secure(t *testing.T) (p *rawPeer, result func() secured) {
	t.Helper()
	remote, judge := verdictKeys(t)
	near, far := newLink(addrA, addrB)
	done := make(chan secured, 1)
	go func() {
		conn, err := secretconn.MakeSecretConnection(near, judge)
		done <- secured{conn, err}
	}()
	p = newRawPeer(t, far, remote)

	return p, func() secured {
		p.hangUp()

		return <-done
	}
}

func verdictOf(err error) string {
	if err != nil {
		return refused
	}

	return accepted
}

// judgeEphemeral sends the input as the ephemeral message of a peer that knows the
// private key and goes on honestly.
func judgeEphemeral(t *testing.T, c verdictCase) string {
	t.Helper()
	p, result := secure(t)
	eph, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{0x11}, 32))
	require.NoError(t, err)
	p.eph = eph
	p.send(c.Input)
	p.agree()
	p.chunks(p.auth(wire.AuthPlain))

	return verdictOf(result().err)
}

// judgeAuth sends the input as the auth message, with the signature over the
// recorded challenge replaced by one over the challenge of the connection.
func judgeAuth(t *testing.T, c verdictCase) string {
	t.Helper()
	r, err := readRecordings()
	require.NoError(t, err)
	p, result := secure(t)
	p.exchange()
	recorded := ed25519.Sign(p.key, r.KeySchedule[0].Challenge)
	p.message(bytes.Replace(c.Input, recorded, ed25519.Sign(p.key, p.challenge), 1))

	return verdictOf(result().err)
}

// judgeFrames sends the frames of the input on a secret connection, sealed anew
// under its key.
func judgeFrames(t *testing.T, c verdictCase) string {
	t.Helper()
	p, result := secure(t)
	p.authenticate(wire.AuthPlain)
	aead, err := chacha20poly1305.New(c.ReceiveKey)
	require.NoError(t, err)
	for i := 0; len(c.Input) > 0; i++ {
		frame := c.Input[:min(frameSize, len(c.Input))]
		c.Input = c.Input[len(frame):]
		nonce := binary.LittleEndian.AppendUint64(make([]byte, 4), uint64(i))
		opened, err := aead.Open(nil, nonce, frame, nil)
		if err != nil { // not under this key either, or cut short
			p.send(frame)

			continue
		}
		// As it was sealed: what is too short for a frame must not become one.
		p.send(p.sealed(opened))
	}
	r := result()
	require.NoError(t, r.err)
	got, err := io.ReadAll(r.conn)
	if err == nil && len(got) == 0 {
		err = io.EOF // where a frame was due
	}

	return verdictOf(err)
}

// TestJudgeFrames judges frames that are sealed rightly, whole and too short, down to those that
// have no room for a length.
func TestJudgeFrames(t *testing.T) {
	key := bytes.Repeat([]byte{7}, chacha20poly1305.KeySize)
	opened := make([]byte, 4+chunkSize)
	opened[0] = 5 // the length of the content
	whole := seal(t, key, 0, opened)
	for size, want := range map[int]string{0: refused, 3: refused, 4: refused, 9: refused, len(opened) - 1: refused, len(opened): accepted} {
		for _, before := range [][]byte{nil, whole} {
			input := append(bytes.Clone(before), seal(t, key, uint64(len(before)/frameSize), opened[:size])...)
			synctest.Test(t, func(t *testing.T) {
				require.Equal(t, want, judgeFrames(t, verdictCase{Input: input, ReceiveKey: key}), "%d bytes after %d", size, len(before))
			})
		}
	}
}

// judgeNodeInfo sends the input as NodeInfo, in a connection of its dialect.
func judgeNodeInfo(t *testing.T, c verdictCase) string {
	t.Helper()
	form := wire.AuthPlain
	if strings.HasSuffix(c.ID, "_A") {
		form = wire.AuthTyped
	}
	l := newLive(t, nil)
	l.p.authenticate(form)
	l.p.message(c.Input)
	l.p.hangUp()

	return l.handshakeVerdict()
}

// judgePackets sends the input on a connection that ends with it.
func judgePackets(t *testing.T, c verdictCase) string {
	t.Helper()
	l := newLive(t, nil)
	l.connect()
	l.p.message(c.Input)
	l.p.hangUp()
	if err := <-l.b.errs; !errors.Is(err, io.EOF) {
		return refused
	}

	return accepted
}

func judgeDiscovery(_ *testing.T, c verdictCase) string { return verdictOf(readDiscovery(c.Input)) }

// readDiscovery does with a discovery message what reactors do.
func readDiscovery(msg []byte) error {
	addrs, request, err := wire.DecodeDiscovery(msg)
	if err != nil || request {
		return err
	}
	if len(addrs) == 0 {
		return errors.New("no peers")
	}
	for _, text := range addrs {
		addr, err := types.ParseNetAddress(text)
		if err != nil {
			return err
		}
		if err := addr.Validate(); err != nil {
			return err
		}
	}

	return nil
}

func judgeNodeKey(t *testing.T, c verdictCase) string {
	t.Helper()
	path := t.TempDir() + "/node_key.json"
	require.NoError(t, os.WriteFile(path, []byte(c.Text), 0o600))
	_, err := types.LoadNodeKey(path)

	return verdictOf(err)
}
