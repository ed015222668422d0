package lp2p

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Handshakes that fail over and over write one line, and how many there were.
func TestFailedHandshakesAreSummedUp(t *testing.T) {
	const times = 10 // within a minute, also on a busy machine
	n, log := newLoggedNode(t, net.IPv4(127, 0, 0, 1))
	n.acceptLoop(t)
	r := newRaw(t)
	other := r.info
	other.Network = "another"
	body, err := other.MarshalBinary()
	require.NoError(t, err)
	for range times {
		for code, what := range map[compat.RejectCode]any{
			compat.RejectInvalid:      []byte{0},
			compat.RejectIncompatible: &control.Hello{Version: control.Version, Epoch: control.NewEpoch(), NodeInfo: body},
		} {
			c := r.connect(n)
			m, err := r.say(r.open(c, false), what)
			require.NoError(t, err)
			require.Equal(t, code, m.(*control.Reject).Code)
			require.NoError(t, c.Close())
		}
	}
	require.NoError(t, n.Close())
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 1+4, "the first one is about the listener: %s", log.String())
	for _, reason := range []string{"invalid", "incompatible"} {
		require.Contains(t, log.String(), fmt.Sprintf("more_times=%d reason=%s network=127.0.0.0/24", times-1, reason))
	}
}

// Strangers that find no place write one line too.
func TestRefusedHandshakesAreSummedUp(t *testing.T) {
	limits := DefaultLimits()
	limits.HandshakesPerPeer = 1
	n, log := newLoggedNode(t, net.IPv4(127, 0, 0, 1), WithLimits(limits))
	r := newRaw(t)
	c := r.connect(n)
	handshakesOf(t, n, r, c, 1)
	for range 10 {
		requireReset(t, announced(t, r.open(c, false)))
	}
	require.NoError(t, n.Close())
	require.Equal(t, 2, strings.Count(log.String(), "inbound handshake refused"), log.String())
	require.Contains(t, log.String(), "more_times=9 reason=busy")
}

// So do goodbyes that announce what was never sent. The line says what did not come.
func TestInventedCountsAreSummedUp(t *testing.T) {
	timeouts := patientTimeouts()
	timeouts.Flush = time.Millisecond
	n, log := newLoggedNode(t, net.IPv4(127, 0, 0, 1), WithTimeouts(timeouts))
	for range 10 {
		_, ctrl, _, _ := newRaw(t).session(n)
		_, err := ctrl.Write(control.Append(nil, &control.Goodbye{Counts: []control.ChannelCount{{Channel: chA, Messages: 3}}}))
		require.NoError(t, err)
		n.failure(t)
	}
	require.NoError(t, n.Close())
	require.Equal(t, 2, strings.Count(log.String(), "did not reach their reactor"), log.String())
	require.Contains(t, log.String(), "channel=0x20 announced=3 received=0")
	require.Contains(t, log.String(), "more_times=9 reason=goodbye")
}

// What a stranger names itself, or gives as a reason, is in no error, refusal or line of the
// log as it came.
func TestStrangersWriteNoLines(t *testing.T) {
	const network = "another\x1b[2J\nlevel=ERROR msg=forged"
	n, log := newLoggedNode(t, net.IPv4(127, 0, 0, 1))
	n.acceptLoop(t)
	a := newNode(t, func(info *types.NodeInfo) { info.Network = network })
	a.acceptLoop(t)
	other := n.info
	other.Network = network
	for name, err := range map[string]error{
		"refused by it": func() error { _, err := n.dial(t, a); return err }(),
		"refused here":  func() error { _, err := a.dial(t, n); return err }(),
		"compared":      n.info.CompatibleWith(other),
	} {
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "\x1b", name)
		require.NotContains(t, err.Error(), "\n", name)
	}
	require.NoError(t, n.Close())
	require.Contains(t, log.String(), "peer refused")
	require.NotContains(t, log.String(), "\x1b")
	require.NotContains(t, log.String(), "\nlevel=ERROR")
}
