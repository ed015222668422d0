package bridge

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
)

// A libp2p node learns what the native node behind the bridge did, and the bridge what the
// libp2p node gave as its reason.
func TestReasonsOfAnEndTravel(t *testing.T) {
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(libp2p)})
	towards := native.join(t, b.NativeAddress())
	libp2p.met(t)
	gone, done := libp2p.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerDisconnected })
	defer done()
	native.sw.StopPeerForError(towards, errBadMessage)
	left := next(t, gone).(events.PeerDisconnectedEvent)
	require.ErrorContains(t, left.Reason, "the native node behind the bridge: it has closed the connection")
	next(t, native.removed)

	require.True(t, native.join(t, b.NativeAddress()).Send(chTxs, []byte("tx")))
	next(t, libp2p.messages) // the pair is up: the nodes may have met before it is
	libp2p.sw.StopPeerForError(libp2p.met(t), compat.Reject(compat.RejectBanned, "it votes twice"))
	next(t, native.removed)
	var ends []Event // also of pairs for dials that were late
	endedBy := func(side string) int { return slices.IndexFunc(ends, func(e Event) bool { return e.Reason == side }) }
	require.Eventually(t, func() bool {
		ends = slices.DeleteFunc(b.Status().Events, func(e Event) bool { return e.Kind != EventPairEnded })

		return endedBy(InitiatorLibp2p) >= 0
	}, testTimeout, time.Millisecond)
	require.LessOrEqual(t, len(ends), 2+native.late)
	last := ends[len(ends)-1]
	require.Equal(t, InitiatorLibp2p, last.Reason)
	require.GreaterOrEqual(t, endedBy(InitiatorNative), 0)
	require.Equal(t, "banned: it votes twice", last.Text)
	require.Equal(t, libp2p.address.ID, last.Libp2pID)
	require.Equal(t, native.address.ID, last.NativeID)
}

// A libp2p node that gets no pair learns what the native nodes said.
func TestReasonsOfARefusalTravel(t *testing.T) {
	target := newNode(t, InitiatorNative)
	target.stop()
	libp2p := newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{NativePeers: addresses(target)})
	failed, done := libp2p.sw.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
	defer done()
	libp2p.dial(b.Libp2pAddress())
	reason := next(t, failed).(events.DialFailedEvent).Reason
	require.ErrorContains(t, reason, "no counterpart could be reached (unreachable)")
	require.NotContains(t, reason.Error(), target.address.DialString())
}

// What others learn of an error names no address, and each cause once.
func TestCausesNameNoAddress(t *testing.T) {
	const at = "10.0.0.1:26656"
	for text, err := range map[string]error{
		"full: no slot":                fmt.Errorf("%s: %w", at, compat.Reject(compat.RejectFull, "no slot")),
		"it has closed the connection": fmt.Errorf("read tcp %s: %w", at, io.EOF),
		"it no longer answers":         fmt.Errorf("read tcp %s: %w", at, os.ErrDeadlineExceeded),
		"it has broken the protocol":   fmt.Errorf("%s: %w", at, compat.ErrViolation),
		"its connection has failed":    errors.New("write tcp " + at),
		"it has ended the session":     &lp2p.GoodbyeError{},
		"closing: bye":                 &lp2p.GoodbyeError{Code: compat.RejectClosing, Text: "bye"},
		"unspecified: bye":             &lp2p.GoodbyeError{Text: "bye"},
	} {
		require.Equal(t, text, endCause(err))
	}
	full := compat.Reject(compat.RejectFull, "no slot")
	m := newMissed([]error{full, errors.New(at), fmt.Errorf("%s: %w", at, full)}, nil)
	require.Equal(t, []string{"full: no slot", "unclear"}, m.causes)
	require.NotContains(t, m.told(), "10.0.0.1")
	require.ErrorIs(t, m, errNoCounterpart)
}
