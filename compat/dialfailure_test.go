package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// declared is an error that says itself what it means.
type declared struct{ error }

func (declared) DialFailure() DialFailure { return DialRefused }

func dialing(errno syscall.Errno) error {
	return &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errno)}
}

func TestClassifyDial(t *testing.T) {
	remote := func(code RejectCode) error { return &RejectError{Code: code, Remote: true} }
	unknown := errors.New("upgrade failed")
	noIPv6 := &net.OpError{Op: "dial", Addr: &net.TCPAddr{IP: net.ParseIP("2606:4700::1")}, Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}
	for _, c := range []struct {
		err  error
		want DialFailure
	}{
		{nil, DialUnclear},
		{unknown, DialUnclear},
		{io.EOF, DialUnclear},
		{fmt.Errorf("dial: %w", noIPv6), DialUnclear},
		{dialing(syscall.ECONNRESET), DialUnclear},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, DialUnclear},

		{context.Canceled, DialLocal},
		{ErrTransportClosed, DialLocal},
		{ErrNoResources, DialLocal},
		{dialing(syscall.EMFILE), DialLocal},
		{dialing(syscall.EADDRNOTAVAIL), DialLocal},
		{fmt.Errorf("dial: %w", &net.OpError{Addr: &net.TCPAddr{IP: net.IPv4(9, 8, 7, 6)}, Err: syscall.EADDRNOTAVAIL}), DialLocal},
		{fmt.Errorf("%w: %w", context.Canceled, dialing(syscall.ECONNREFUSED)), DialLocal},
		{errors.Join(&WrongIDError{}, context.Canceled), DialLocal},

		{context.DeadlineExceeded, DialTimedOut},
		{os.ErrDeadlineExceeded, DialTimedOut},
		{dialing(syscall.ETIMEDOUT), DialTimedOut},
		{&net.DNSError{Err: "i/o timeout", IsTimeout: true}, DialTimedOut},
		{fmt.Errorf("%w: %w", context.DeadlineExceeded, dialing(syscall.ECONNREFUSED)), DialTimedOut},

		{dialing(syscall.ECONNREFUSED), DialUnreachable},
		{dialing(syscall.EHOSTUNREACH), DialUnreachable},
		{dialing(syscall.ENETUNREACH), DialUnreachable},
		{errors.Join(noIPv6, dialing(syscall.ECONNREFUSED)), DialUnreachable},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, DialUnreachable},

		{&WrongIDError{}, DialWrongID},
		{errors.Join(&WrongIDError{}, noIPv6), DialWrongID},
		{&ForeignError{Answered: "HTTP", Err: io.EOF}, DialForeign},
		{&ForeignError{Answered: "libp2p", Proved: true, Err: unknown}, DialNotTM2},
		{declared{unknown}, DialRefused},
		{declared{&WrongIDError{}}, DialRefused},
		{fmt.Errorf("%w: %w", declared{unknown}, context.DeadlineExceeded), DialRefused},

		{ErrBusy, DialBusy},
		{remote(RejectFull), DialBusy},
		{remote(RejectUnavailable), DialBusy},
		{remote(RejectDuplicate), DialDuplicate},
		{remote(RejectClosing), DialClosing},
		{remote(RejectIncompatible), DialOtherNetwork},
		{types.ErrIncompatibleVersions, DialOtherNetwork},
		{types.ErrNoCommonChannels, DialOtherNetwork},
		{remote(RejectBanned), DialRefused},
		{remote(200), DialRefused},
		{errors.Join(remote(RejectFull), context.DeadlineExceeded), DialBusy},
	} {
		wrapped := c.err
		if wrapped != nil {
			wrapped = fmt.Errorf("unable to dial: %w", c.err)
		}
		require.Equal(t, c.want, ClassifyDial(wrapped), "%v", c.err)
	}
}

func TestOnlyAPeerOfTM2HasAnswered(t *testing.T) {
	for f := range DialRefused + 1 {
		require.NotEmpty(t, f.String())
		require.Equal(t, f >= DialOtherNetwork, f.Answered(), f)
	}
	require.Len(t, dialFailureNames, int(DialRefused)+1)
}

func TestForeignAndWrongIDErrors(t *testing.T) {
	wrong := &WrongIDError{Addr: "192.0.2.1:26656", Asked: "a", Found: "b", FoundPeer: "12D"}
	require.EqualError(t, wrong, "wrong node at 192.0.2.1:26656: asked for a, found b")
	wrong.Found = ""
	require.EqualError(t, wrong, "wrong node at 192.0.2.1:26656: asked for a, found the libp2p peer 12D")

	require.EqualError(t, &ForeignError{Answered: "HTTP", Err: io.EOF}, "remote speaks HTTP: EOF")
	require.EqualError(t, &ForeignError{Err: io.EOF}, "EOF")
	require.ErrorIs(t, &ForeignError{Err: io.EOF}, io.EOF)
}
