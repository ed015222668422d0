package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// The protocols of the streams, by the direction that they have for the libp2p node. The side
// that opens one sends an address, IP:port or host:port, as a uvarint length and that many bytes;
// the other side answers in the same form, with nothing if the tunnel is open and else with the
// reason. Then the bytes of the native connection follow.
//
//   - In: the bridge opens it, and the address is that of the native node that has dialed.
//   - Out: the node opens it, and the address is the one to dial. An empty address asks for no
//     connection: the node keeps the stream to stay in reach of the bridge.
const (
	protocolIn  protocol.ID = "/tm2/tunnel/in/1"
	protocolOut protocol.ID = "/tm2/tunnel/out/1"
)

const (
	// maxText bounds an address or a reason, with its length, in bytes.
	maxText = 256
	// openTimeout bounds the opening of a tunnel: the dial, the address, and the answer. The
	// native handshake inside has 3 s of its own.
	openTimeout = 3 * time.Second
	// dialTimeout bounds the dial of a native node, so that the answer still comes in time.
	dialTimeout = openTimeout - time.Second
)

// times are how long the steps of a tunnel take at most.
type times struct {
	open, dial time.Duration // openTimeout and dialTimeout
	next       time.Duration // nextAfter
}

func defaultTimes() times { return times{open: openTimeout, dial: dialTimeout, next: nextAfter} }

// RefusedError is the error of a tunnel that the other side does not open.
type RefusedError struct{ Reason string }

// Error says why.
func (e *RefusedError) Error() string { return "tunnel refused: " + e.Reason }

var errRefusedSilently = errors.New("the other side opens no tunnels")

// open asks the node for a tunnel, and waits for each answer within the timeout. It tries twice,
// since the first stream may be on a connection that the node is just closing.
func open(
	ctx context.Context, side *lp2p.Transport, at types.NetAddress, proto protocol.ID, address string, timeout time.Duration,
) (net.Conn, error) {
	for again := true; ; again = false {
		stream, err := side.OpenStream(ctx, at, proto)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
		err = ask(stream, address, timeout)
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err == nil {
			return stream, nil
		}
		_ = stream.Close() // err says more
		if !again || ctx.Err() != nil || errors.As(err, new(*RefusedError)) {
			return nil, err
		}
	}
}

// ask sends an address and reads the answer, within the timeout.
func ask(conn net.Conn, address string, timeout time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := conn.Write(wire.AppendSized(nil, []byte(address))); err != nil {
		return fmt.Errorf("unable to ask for a tunnel: %w", err)
	}
	reason, err := wire.ReadSized(conn, maxText)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, lp2p.ErrUnsupported):
		return fmt.Errorf("%w: %w", errRefusedSilently, err)
	case err != nil:
		return fmt.Errorf("no answer to the request for a tunnel: %w", err)
	case len(reason) > 0:
		return &RefusedError{printable(reason)}
	}

	return conn.SetDeadline(time.Time{})
}

// readAddress reads what ask has sent, within the timeout.
func readAddress(conn net.Conn, timeout time.Duration) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	address, err := wire.ReadSized(conn, maxText)

	return string(address), err
}

// accept says that the tunnel is open.
func accept(conn net.Conn) error {
	if _, err := conn.Write(wire.AppendSized(nil, nil)); err != nil {
		return err
	}

	return conn.SetDeadline(time.Time{})
}

// refuse says why the tunnel does not open, and waits until the other side has read that, or the
// timeout has passed anew. The caller closes the stream, which may end the connection.
func refuse(conn net.Conn, reason string, timeout time.Duration) {
	if conn.SetDeadline(time.Now().Add(timeout)) != nil {
		return // it is closed
	}
	if _, err := conn.Write(wire.AppendSized(nil, []byte(reason[:min(len(reason), maxText-2)]))); err == nil {
		_, _ = io.CopyN(io.Discard, conn, maxText)
	}
}

// printable replaces what is not printable ASCII, so that the text of a remote can be logged.
func printable(text []byte) string {
	for i, c := range text {
		if c < 0x20 || c > 0x7e {
			text[i] = '?'
		}
	}

	return string(text)
}

// tcpAddr returns an address of the form IP:port.
func tcpAddr(text string) (*net.TCPAddr, error) {
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return nil, err
	}

	return net.TCPAddrFromAddrPort(at), nil
}
