package bridge

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// farSide is the far side of a relay.
type farSide struct {
	compat.PeerConn
	send  func(msg string) bool
	start error
	ends  []string // how it was ended
}

func (p *farSide) ID() types.ID               { return "far" }
func (p *farSide) Send(_ byte, m []byte) bool { return p.send(string(m)) }
func (p *farSide) TrySend(byte, []byte) bool  { return false }
func (p *farSide) Start() error               { return p.start }
func (p *farSide) FlushStop()                 { p.ends = append(p.ends, "flush") }
func (p *farSide) Stop() error                { p.ends = append(p.ends, "stop"); return nil }
func (p *farSide) CloseConn() error           { p.ends = append(p.ends, "close"); return nil }

// relayTo returns a pair that is up, with far on its libp2p side.
func relayTo(t *testing.T, far *farSide) *pair {
	t.Helper()
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	p := b.newPair(InitiatorNative)
	p.libp2p.peer, p.target = far, &target{configured: true}
	p.native.listen(TM2Channels())
	p.libp2p.listen(TM2Channels())
	close(p.ready)

	return p
}

// dropped is how many messages the libp2p side did not take.
func (p *pair) dropped(ch byte) uint64 { return p.bridge.journal.toLibp2p.channels[ch].dropped.Load() }

// A message after the end must not pass when one before it did not.
func TestRelayEndsWithItsPair(t *testing.T) {
	var got []string
	p := relayTo(t, &farSide{send: func(msg string) bool { got = append(got, msg); return true }})

	p.native.reactors[chVotes].Receive(chVotes, nil, []byte("before"))
	p.end(nil, errors.New("the other direction failed"))
	for range 50 {
		p.native.reactors[chVotes].Receive(chVotes, nil, []byte("after"))
	}
	require.Equal(t, []string{"before"}, got)
}

// What a node has received is counted: it may ask before Send returns.
func TestMessagesAreCountedBeforeTheyArrive(t *testing.T) {
	var p *pair
	taken := true
	p = relayTo(t, &farSide{send: func(msg string) bool {
		require.Equal(t, Traffic{Messages: 1, Bytes: uint64(len(msg))}, p.libp2p.sent.traffic())
		require.Equal(t, p.libp2p.sent.traffic(), p.bridge.Status().ToLibp2p)
		if !taken {
			p.end(nil, errors.New("gone"))
		}

		return taken
	}})
	p.native.reactors[chVotes].Receive(chVotes, nil, []byte("taken"))
	require.Equal(t, Traffic{Messages: 1, Bytes: 5}, p.libp2p.sent.traffic())

	taken = false
	p = relayTo(t, p.libp2p.peer.(*farSide))
	p.native.reactors[chVotes].Receive(chVotes, nil, []byte("refused"))
	require.Zero(t, p.libp2p.sent.traffic())
	require.Zero(t, p.bridge.Status().ToLibp2p)
}

// A reactor may be busy for longer than a Send waits: nothing is lost, and the node is held
// back meanwhile.
func TestBusyTargetHoldsItsNodeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, busy := time.Now(), 25*time.Second
		p := relayTo(t, &farSide{send: func(string) bool {
			left := time.Until(begun.Add(busy))
			task.Sleep(t.Context(), min(left, compat.SendTimeout))

			return left <= compat.SendTimeout
		}})
		p.native.reactors[chVotes].Receive(chVotes, nil, []byte("message"))
		require.Equal(t, busy, time.Since(begun))
		require.False(t, isClosed(p.ctx.Done()))
		require.Equal(t, Traffic{Messages: 1, Bytes: 7}, p.libp2p.sent.traffic())
		p.end(p.libp2p, errors.New("gone"))
		require.Equal(t, kept, p.outcome())
	})
}

// A target that takes nothing until the pair ends is not healthy, however long its pair was
// up and whoever ends it.
func TestStuckTargetIsToBlame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, end := range []func(*pair){
			func(p *pair) { p.libp2p.HandlePeerError(nil, errors.New("no pong")) },
			func(p *pair) { p.native.HandlePeerError(nil, errors.New("gone")) },
			func(p *pair) { p.end(nil, errReplaced) },
		} {
			p := relayTo(t, &farSide{send: func(string) bool { return !task.Sleep(t.Context(), compat.SendTimeout) }})
			task.Sleep(t.Context(), time.Hour)
			time.AfterFunc(time.Minute-1, func() { end(p) })
			begun := time.Now()
			p.native.reactors[chVotes].Receive(chVotes, nil, []byte("message"))
			require.Equal(t, time.Minute, time.Since(begun))
			require.Equal(t, faulty, p.outcome())
			require.Zero(t, p.libp2p.sent.traffic())
			require.EqualValues(t, 1, p.dropped(chVotes))
		}
	})
}

// A side that is on its way out is left to say why.
func TestRefusalAtOnceWaitsForTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := relayTo(t, &farSide{send: func(string) bool { return false }})
		reason := errors.New("goodbye")
		go func() {
			task.Sleep(t.Context(), compat.SendTimeout-time.Second)
			p.libp2p.HandlePeerError(nil, reason)
		}()
		p.native.reactors[chVotes].Receive(chVotes, nil, []byte("message"))
		err := p.ending().error
		require.ErrorIs(t, err, reason)
		require.Zero(t, p.dropped(chVotes))
		synctest.Wait()
	})
}

// A message that can never be taken tells nothing about the target.
func TestRefusalAtOnceBlamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := relayTo(t, &farSide{send: func(string) bool { return false }})
		begun := time.Now()
		p.native.reactors[chVotes].Receive(chVotes, nil, []byte("message"))
		require.Equal(t, compat.SendTimeout, time.Since(begun))
		by, err := p.ending().by, p.ending().error
		require.Nil(t, by)
		require.ErrorIs(t, err, errNotTaken)
		require.NotEqual(t, faulty, p.outcome())
		require.EqualValues(t, 1, p.dropped(chVotes))
	})
}

// A target that accepts and has gone before the pair is up has failed.
func TestTargetThatDiesBeforeTheStartIsToBlame(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	p := b.newPair(InitiatorNative)
	near, dead := &farSide{}, &farSide{start: errors.New("session ended before its start")}
	p.native.peer, p.libp2p.peer = near, dead
	p.run()
	require.Equal(t, faulty, p.outcome())
	require.ErrorIs(t, p.ending().error, dead.start)
	require.Equal(t, []string{"flush", "stop", "close"}, near.ends)
	require.Equal(t, []string{"stop", "close"}, dead.ends)
}

// A pair that was ended in the making is not started.
func TestEndedPairIsNotStarted(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, quiet())
	require.NoError(t, err)
	p := b.newPair(InitiatorNative)
	started := &farSide{start: errors.New("started")}
	p.native.peer, p.libp2p.peer = started, started
	replaced := compat.Reject(compat.RejectDuplicate, "%v", errReplaced)
	p.end(nil, replaced)
	p.run()
	err = p.ending().error
	require.ErrorIs(t, err, replaced)
	require.Equal(t, unknown, p.outcome())
}
