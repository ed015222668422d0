package transcript

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

const (
	// handshakeTimeout bounds all up to the NodeInfo, as real nodes do twice (docs/wire.md §3).
	handshakeTimeout = 6 * time.Second
	// maxRecorded bounds what is recorded of each direction after the NodeInfo, in bytes: the recording ends
	// with the frame that reaches it. A node fills one direction by frames of its own, and the other by
	// pings, of which a frame holds 85 and each is answered by a frame.
	maxRecorded = 4 << 20
	// maxPayload takes the packets of a sender that is configured for the largest payload.
	maxPayload = 64 << 10
)

// Record dials the native node at [ID@]host:port and records the connection: the handshake, a
// NodeInfo like the node's own, a request for peers if the node has that channel, and a ping;
// and what the node sends until it has answered the ping and listen is over, or ctx ends. For
// that time the node sees a peer named tm2net, with a new key.
//
// An error after the dial comes with what was recorded until then.
func Record(ctx context.Context, address string, listen time.Duration) (*Transcript, error) {
	asked, hostPort, err := probe.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	dialCtx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := dialer.DialContext(dialCtx, "tcp", hostPort)
	if err != nil {
		return nil, err
	}
	r := &recorder{tap: &tap{Conn: conn}, key: key, asked: asked, at: conn.RemoteAddr().String()}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // ends what waits
	err = r.run(ctx, listen)
	if closeErr := conn.Close(); err == nil && !errors.Is(closeErr, net.ErrClosed) {
		err = closeErr
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	t, transcribeErr := r.transcript()

	return t, errors.Join(err, transcribeErr)
}

// recorder is one recording.
type recorder struct {
	tap     *tap
	asked   types.ID // empty: any
	at      string
	key     ed25519.PrivateKey
	seed    [32]byte
	remote  types.ID
	dialect compat.Dialect
}

func (r *recorder) run(ctx context.Context, listen time.Duration) error {
	rand.Read(r.seed[:]) // never fails
	if err := r.tap.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	sc, err := secretconn.MakeRecordedConnection(r.tap, r.key, r.seed)
	if err != nil {
		return fmt.Errorf("%s: handshake: %w", r.at, err)
	}
	r.remote = types.IDFromPublicKey(sc.RemotePubKey())
	if r.asked != "" && r.asked != r.remote {
		return &compat.WrongIDError{Addr: r.at, Asked: r.asked, Found: r.remote}
	}
	theirs, err := r.readNodeInfo(sc)
	if err != nil {
		return fmt.Errorf("%s: NodeInfo: %w", r.at, err)
	}
	if err := r.speak(sc, theirs); err != nil {
		return fmt.Errorf("%s: %w", r.at, err)
	}
	if err := r.listen(sc, listen); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", r.at, err)
	}

	return nil
}

// readNodeInfo reads the node's NodeInfo, whose form tells dialect A from B.
func (r *recorder) readNodeInfo(sc *secretconn.SecretConnection) (info types.NodeInfo, err error) {
	r.dialect = compat.DialectC
	if sc.Dialect() == secretconn.DialectTyped {
		r.dialect = compat.DialectB
	}
	body, err := wire.ReadSized(sc, types.MaxNodeInfoSize)
	if err != nil {
		return info, err
	}
	err = info.UnmarshalBinary(body)
	if r.dialect == compat.DialectB && errors.Is(err, types.ErrBareNodeID) {
		r.dialect = compat.DialectA
		err = info.UnmarshalDialectA(body, sc.RemoteAddr())
	}

	return info, err
}

// speak sends all that the recorder has to say.
func (r *recorder) speak(sc *secretconn.SecretConnection, theirs types.NodeInfo) error {
	own := theirs
	own.NetAddress = &types.NetAddress{ID: types.IDFromPublicKey(r.key.Public().(ed25519.PublicKey)), IP: net.IPv4zero}
	own.Moniker, own.Other = probe.Moniker, types.NodeInfoOther{}
	body, err := own.MarshalBinary()
	if r.dialect == compat.DialectA {
		body, err = own.AppendDialectA(nil)
	}
	if err != nil {
		return err
	}
	packets := wire.AppendPing(nil)
	if slices.Contains(theirs.Channels, pex.Channel) {
		packets = wire.AppendMsg(packets, pex.Channel, true, wire.AppendRequest(nil))
	}
	for _, message := range [][]byte{wire.AppendSized(nil, body), packets} {
		if _, err := sc.Write(message); err != nil {
			return err
		}
	}

	return nil
}

// listen reads packets until the pong has come and the time is over, and answers pings.
func (r *recorder) listen(sc *secretconn.SecretConnection, listen time.Duration) error {
	if err := sc.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	until := time.Now().Add(listen)
	for pong := false; r.tap.size() < maxRecorded; {
		body, err := wire.ReadSized(sc, wire.MaxPacketSize(maxPayload))
		if err != nil && pong && errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		packet, err := wire.DecodePacket(body)
		if err != nil {
			return err
		}
		switch packet.Kind {
		case wire.PacketPing:
			if _, err := sc.Write(wire.AppendPong(nil)); err != nil {
				return err
			}
		case wire.PacketPong:
			pong = true
			if err := sc.SetDeadline(until); err != nil {
				return err
			}
		}
	}

	return nil
}

// transcript makes a transcript of what was recorded.
func (r *recorder) transcript() (*Transcript, error) {
	t := &Transcript{
		Name: "recorded from " + r.at, Dialect: string(r.dialect),
		Dialer: Side{
			Seed: r.key.Seed(), NodeID: types.IDFromPublicKey(r.key.Public().(ed25519.PublicKey)), EphemeralPrivate: r.seed[:],
		},
		Listener: Side{NodeID: r.remote},
	}
	t.DialerToListener.Raw, t.ListenerToDialer.Raw = r.tap.recorded()
	t.Dialer.EphemeralPublic, _ = ephemeralOf(t.DialerToListener.Raw)
	t.Listener.EphemeralPublic, _ = ephemeralOf(t.ListenerToDialer.Raw)
	sent, received, _, err := t.openers()
	if err != nil {
		return t, err
	}
	t.DialerToListener.open(sent)
	t.ListenerToDialer.open(received)

	return t, nil
}

// tap records the data of both directions.
type tap struct {
	net.Conn

	mtx            sync.Mutex
	sent, received bytes.Buffer
}

// Read implements net.Conn.
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.mtx.Lock()
	defer t.mtx.Unlock()
	t.received.Write(p[:n])

	return n, err
}

// Write implements net.Conn.
func (t *tap) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.mtx.Lock()
	defer t.mtx.Unlock()
	t.sent.Write(p[:n])

	return n, err
}

// size is how much was recorded of the direction of which there is more, in bytes.
func (t *tap) size() int {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	return max(t.sent.Len(), t.received.Len())
}

func (t *tap) recorded() (sent, received []byte) {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	return bytes.Clone(t.sent.Bytes()), bytes.Clone(t.received.Bytes())
}
