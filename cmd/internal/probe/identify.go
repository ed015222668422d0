package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
)

// answer is what the first bytes of the remote say.
type answer int

const (
	answerNative     answer = iota // sent an ephemeral key unasked
	answerNativeLate               // the same, after it was offered libp2p
	answerLibp2p                   // sent a multistream header unasked
	answerLibp2pLate               // the same, after it was offered libp2p
)

const (
	// silence is the least time that a remote has to speak first.
	silence = 500 * time.Millisecond
	// silenceTrips is the same in round trips.
	silenceTrips = 4
	// shown is how many bytes of an unknown answer an error shows.
	shown = 32
)

// ErrUnknownPeer is wrapped by Probe's error when somebody answers who speaks
// neither stack, or nobody says anything.
var ErrUnknownPeer = errors.New("neither a TM2 nor a libp2p node answers")

// identify looks at the first bytes of the remote without consuming them. It
// lets the remote speak first and offers libp2p when it does not.
func identify(ctx context.Context, conn *sniff.PeekedConn, trip time.Duration) (answer, error) {
	defer interruptAt(ctx, conn)()

	first, err := conn.PeekWithin(ctx, max(silence, silenceTrips*trip))
	if err == nil {
		return classify(conn, first, answerNative, answerLibp2p)
	}
	if ctx.Err() != nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, describe(ctx, conn, err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return 0, err
	}
	if _, err := conn.Write(sniff.MultistreamHeader); err != nil {
		return 0, describe(ctx, conn, err)
	}
	if first, err = conn.Buf.Peek(len(sniff.NativeStart)); err != nil {
		return 0, describe(ctx, conn, err)
	}

	return classify(conn, first, answerNativeLate, answerLibp2pLate)
}

func classify(conn *sniff.PeekedConn, first []byte, native, libp2p answer) (answer, error) {
	switch {
	case bytes.Equal(first, sniff.NativeStart):
		return native, nil
	case bytes.Equal(first, sniff.Libp2pStart):
		return libp2p, nil
	}
	text, err := conn.Buf.Peek(min(conn.Buf.Buffered(), shown))
	if err != nil {
		return 0, err
	}

	return 0, &compat.ForeignError{
		Answered: sniff.Protocol(text), Err: fmt.Errorf("%w: the answer begins with %q", ErrUnknownPeer, text),
	}
}

// describe says in the user's terms why the first bytes did not come.
func describe(ctx context.Context, conn *sniff.PeekedConn, err error) error {
	if text, _ := conn.Buf.Peek(conn.Buf.Buffered()); len(text) > 0 {
		return fmt.Errorf("%w: it sent only %q: %w", ErrUnknownPeer, text, err)
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w: the port accepts connections but sent nothing in time: %w", ErrUnknownPeer, ctx.Err())
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w: the connection was closed by the remote before it sent anything: %w", ErrUnknownPeer, err)
	default:
		return err
	}
}

// interruptAt makes reads and writes of conn fail when the context ends. The
// returned function lifts that and clears the deadlines.
func interruptAt(ctx context.Context, conn net.Conn) (lift func()) {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = conn.SetDeadline(time.Unix(1, 0)) // a conn that cannot is closed already
	})

	return func() {
		if !stop() {
			<-fired // the owner of conn may close it now
			return
		}
		_ = conn.SetDeadline(time.Time{}) // as above
	}
}
