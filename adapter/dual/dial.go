package dual

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dialnames"
	"github.com/tm2-libp2p/tm2-libp2p/internal/sniff"
)

const (
	// minQuiet and maxQuiet bound how long DialAuto waits for a remote of unknown stack to
	// speak, and quietTrips is the same in round trips. A native node speaks as soon as it
	// has accepted the connection.
	minQuiet   = 100 * time.Millisecond
	maxQuiet   = time.Second
	quietTrips = 3
	// briefQuiet is the least for a peer that has answered on libp2p within stackLife, and the
	// round trip if that is longer: a node that is back on the native stack alone is found
	// without speaking to it in the wrong protocol.
	briefQuiet = 2 * time.Millisecond
	stackLife  = 24 * time.Hour
	// speakFirst is for a dial that does not listen at all.
	speakFirst time.Duration = -1
)

// Dial implements compat.Transport by the DialPolicy. If both stacks have failed, the error
// wraps the failure that tells more about the peer.
func (t *Transport) Dial(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	addr.ID = addr.ID.Canonical() // the form in which nodes are compared
	if err := t.libp2p.CheckDial(addr); err != nil {
		return nil, fmt.Errorf("unable to dial %s: %w", addr.String(), err)
	}
	switch t.opts.dial {
	case DialNative:
		return t.dialNative(ctx, addr, behavior)
	case DialLibp2p:
		return t.libp2p.Dial(ctx, addr, behavior)
	}
	if err := t.both.Enter(); err != nil {
		return nil, err
	}
	defer t.both.Leave()

	ctx, cancel := context.WithCancel(dialnames.WithAdmission(ctx, behavior))
	defer cancel()
	defer context.AfterFunc(t.both.Context(), cancel)()

	p, err := t.dialKnown(ctx, addr, behavior)
	if err != nil && t.both.Context().Err() != nil {
		return nil, fmt.Errorf("%w: %w", compat.ErrTransportClosed, err)
	}

	return p, err
}

// dialKnown uses the libp2p connection to the peer if there is one, unless native comes
// first. It connects anew if there is none, or no session comes of it.
func (t *Transport) dialKnown(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	var failed error
	if t.opts.dial != DialNativeFirst && t.libp2p.IsConnectedTo(addr.ID) {
		p, err := t.libp2p.Dial(ctx, addr, behavior)
		if err == nil || ctx.Err() != nil || compat.ClassifyDial(err).Answered() {
			return p, err
		}
		failed = err
	}
	p, err := dialnames.Dial(ctx, addr, func(ctx context.Context, addr types.NetAddress) (compat.PeerConn, error) {
		return t.dialEither(ctx, addr, behavior)
	})
	if err != nil {
		return nil, dialnames.MoreTelling(failed, err)
	}

	return p, nil
}

// dialEither dials by the policy and by what the address book remembers. If the remote then
// closes the connection without a word, it dials again, and listens longer.
func (t *Transport) dialEither(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	if err := t.libp2p.CheckDial(addr); err != nil { // the IP of a host name
		return nil, err
	}
	silent, quiet := types.StackLibp2p, t.opts.quiet
	switch {
	case t.opts.dial == DialNativeFirst:
		silent, quiet = types.StackNative, speakFirst
	case t.opts.dial == DialLibp2pFirst:
		quiet = speakFirst
	case t.lastOnLibp2p(addr.ID):
		quiet = min(briefQuiet, quiet)
	}
	p, mute, err := t.dialOnce(ctx, addr, behavior, silent, quiet)
	if mute && quiet < t.opts.quiet && ctx.Err() == nil {
		p, _, err = t.dialOnce(ctx, addr, behavior, types.StackLibp2p, t.opts.quiet)
	}

	return p, err
}

// dialOnce connects to the address and goes on with the stack that the remote shows, or with
// the given one if it is silent for quiet. mute reports that the remote has closed the
// connection before it sent anything, as a node of the other stack may do when it is spoken
// to.
func (t *Transport) dialOnce(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior, silent types.Stack, quiet time.Duration,
) (p compat.PeerConn, mute bool, err error) {
	conn, stack, err := t.reach(ctx, addr, silent, quiet)
	if err != nil {
		p, err = t.dialElsewhere(ctx, addr, behavior, fmt.Errorf("unable to dial %s: %w", addr.String(), err))

		return p, false, err
	}
	if stack == types.StackNative {
		p, err = t.native.DialOn(ctx, conn, addr, behavior)
		switch {
		case speaks(err, "libp2p"):
			p, err = t.libp2p.Dial(ctx, addr, behavior)

			return p, false, err
		case compat.ClassifyDial(err) == compat.DialWrongID:
			p, err = t.dialElsewhere(ctx, addr, behavior, err)

			return p, false, err
		}
		p, err = t.noted(p, addr, err)

		return p, showedNothing(conn, err), err
	}

	taken := t.parked.offer(addr.DialString(), conn)
	p, err = t.libp2p.Dial(ctx, addr, behavior)
	if !taken() {
		_ = conn.Close() // libp2p has found another way
	}
	if err == nil || conn.Shown() != "native" && !speaks(err, "native") {
		return p, showedNothing(conn, err), err
	}
	p, nativeErr := t.dialNative(ctx, addr, behavior)
	if nativeErr != nil {
		return nil, false, dialnames.MoreTelling(nativeErr, err)
	}

	return p, false, nil
}

// showedNothing reports whether a dial has failed since the remote has closed the connection
// before it sent anything.
func showedNothing(conn *sniff.PeekedConn, err error) bool {
	return err != nil && conn.Shown() == "" && compat.ClassifyDial(err) == compat.DialUnclear
}

// dialElsewhere tries the ways to a peer that only libp2p has, since the peer was not met at
// the TCP address.
func (t *Transport) dialElsewhere(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior, cause error,
) (compat.PeerConn, error) {
	if ctx.Err() != nil || !t.libp2p.HasOtherWays(addr) {
		return nil, cause
	}
	p, err := t.libp2p.Dial(ctx, addr, behavior)
	if err != nil {
		return nil, dialnames.MoreTelling(cause, err)
	}

	return p, nil
}

// reach connects to the address, and returns the stack that the remote shows, or silent if
// it shows none within quiet.
func (t *Transport) reach(
	ctx context.Context, addr types.NetAddress, silent types.Stack, quiet time.Duration,
) (*sniff.PeekedConn, types.Stack, error) {
	conn, trip, err := t.connect(ctx, addr)
	if err != nil {
		return nil, "", err
	}
	if quiet == speakFirst {
		return conn, silent, nil
	}
	stack, err := listenFor(ctx, conn, silent, t.patience(quiet, trip))
	if err != nil {
		_ = conn.Close() // the failure says more

		return nil, "", err
	}

	return conn, stack, nil
}

// connect connects to the address, and returns how long that took: about one round trip.
func (t *Transport) connect(ctx context.Context, addr types.NetAddress) (*sniff.PeekedConn, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, native.DialTimeout)
	defer cancel()
	begun := time.Now()
	conn, err := t.opts.sockets.DialContext(ctx, "tcp", addr.DialString())
	if err != nil {
		return nil, 0, err
	}

	return sniff.NewPeekedConn(conn), time.Since(begun), nil
}

// patience returns how long to listen over a connection with the round trip.
func (t *Transport) patience(quiet, trip time.Duration) time.Duration {
	if quiet < t.opts.quiet {
		return max(quiet, min(trip, maxQuiet))
	}

	return max(quiet, min(quietTrips*trip, maxQuiet))
}

// listenFor returns the stack that the remote shows, or silent if it shows none. Its error
// says that the remote speaks neither, or closed the connection.
func listenFor(
	ctx context.Context, conn *sniff.PeekedConn, silent types.Stack, quiet time.Duration,
) (types.Stack, error) {
	first, err := conn.PeekWithin(ctx, quiet)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return silent, nil
	}
	if err != nil {
		return "", err
	}
	switch protocol := sniff.Protocol(first); protocol {
	case "native":
		return types.StackNative, nil
	case "libp2p":
		return types.StackLibp2p, nil
	default:
		return "", &compat.ForeignError{Answered: protocol, Err: fmt.Errorf("the answer begins with %q", first)}
	}
}

// lastOnLibp2p reports whether the peer was last reached on libp2p, within stackLife.
func (t *Transport) lastOnLibp2p(id types.ID) bool {
	return t.book.LastStack(id) == types.StackLibp2p && slices.ContainsFunc(t.book.Of(id), func(e addrbook.Entry) bool {
		return time.Since(e.Answered) < stackLife
	})
}

// speaks reports whether a failed dial has shown that the remote speaks the protocol.
func speaks(err error, protocol string) bool {
	var foreign *compat.ForeignError

	return errors.As(err, &foreign) && foreign.Answered == protocol
}

func (t *Transport) dialNative(
	ctx context.Context, addr types.NetAddress, behavior compat.PeerBehavior,
) (compat.PeerConn, error) {
	p, err := t.native.Dial(ctx, addr, behavior)

	return t.noted(p, addr, err)
}

// noted notes in the address book that a native dial has reached the peer.
func (t *Transport) noted(p compat.PeerConn, addr types.NetAddress, err error) (compat.PeerConn, error) {
	if err == nil && addr.Hostname == "" {
		t.book.MarkAnswered(&addr, types.StackNative)
	}

	return p, err
}
