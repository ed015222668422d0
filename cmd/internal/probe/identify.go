package probe

import (
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

const (
	// minWait is the least time that a probe waits for data which the remote may
	// never send. waitTrips is the same in round trips; the longer one applies.
	minWait   = 500 * time.Millisecond
	waitTrips = 4
	// shown is how many bytes of an unknown answer an error shows.
	shown = 32
)

// ErrUnknownPeer is wrapped by Probe's error when the remote speaks neither stack or
// sends nothing.
var ErrUnknownPeer = errors.New("neither a TM2 nor a libp2p node answers")

// greeting is how a remote began to speak.
type greeting struct {
	stack string
	// greeted tells that a multistream header was sent first, since the remote did not speak
	// at once.
	greeted bool
	// slow tells that the remote may have waited for the dialer, as one does that speaks both
	// stacks, and after a while takes a silent dialer for a native node.
	slow bool
}

// identify returns the stack that the first bytes of the remote belong to, without consuming
// them. If the remote does not speak first, identify sends a multistream header.
func identify(ctx context.Context, conn *sniff.PeekedConn, roundTrip time.Duration) (g greeting, err error) {
	defer interruptAt(ctx, conn)()

	begin, wait := time.Now(), max(minWait, waitTrips*roundTrip)
	first, err := conn.PeekWithin(ctx, wait)
	g.greeted = ctx.Err() == nil && errors.Is(err, os.ErrDeadlineExceeded)
	if g.greeted {
		first, err = greet(conn)
	}
	g.slow = time.Since(begin) > wait/2
	if err != nil {
		return g, describe(ctx, conn, err)
	}
	switch sniff.Protocol(first) {
	case "native":
		g.stack = StackNative
	case "libp2p":
		g.stack = StackLibp2p
	default:
		text, err := conn.Buf.Peek(min(conn.Buf.Buffered(), shown))
		if err != nil {
			return g, err
		}

		return g, &compat.ForeignError{
			Answered: sniff.Protocol(text), Err: fmt.Errorf("%w: the answer begins with %q", ErrUnknownPeer, text),
		}
	}

	return g, nil
}

// greet sends a multistream header and returns the first bytes of the answer.
func greet(conn *sniff.PeekedConn) ([]byte, error) {
	if _, err := conn.Write(sniff.MultistreamHeader); err != nil {
		return nil, err
	}

	return conn.Buf.Peek(len(sniff.NativeStart))
}

// describe explains to a user why the first bytes did not arrive.
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
		return fmt.Errorf("%w: the connection was closed by the remote before it sent anything, as a native node does that is full or refuses this host: %w",
			ErrUnknownPeer, err)
	default:
		return err
	}
}

// interruptAt makes reads and writes of conn fail once the context ends. The returned
// function ends that and clears the deadlines of a conn that was not interrupted.
func interruptAt(ctx context.Context, conn net.Conn) (release func()) {
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		_ = conn.SetDeadline(time.Unix(1, 0)) // fails only on a closed conn
	})

	return func() {
		if !stop() {
			<-fired // conn is not used afterwards
			return
		}
		_ = conn.SetDeadline(time.Time{}) // fails only on a closed conn
	}
}
