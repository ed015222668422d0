package bridge

import (
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/pagetest"
)

// The status of a pair says who is joined to whom, and as whom each is shown.
func TestStatusNamesBothNodesOfAPair(t *testing.T) {
	native, libp2p := newNode(t, InitiatorNative), newNode(t, InitiatorLibp2p)
	b := newBridge(t, Config{Libp2pPeers: addresses(libp2p)})
	native.join(t, b.NativeAddress())
	shown := libp2p.met(t)

	native.sw.Broadcast(chTxs, []byte("hello"))
	require.Equal(t, "hello", next(t, libp2p.messages).data)
	require.Eventually(t, func() bool { return b.Status().Seen == SeenNodes{Native: 1, Libp2p: 1} }, testTimeout, time.Millisecond)
	s := b.Status()
	require.True(t, s.Running)
	require.False(t, s.Started.IsZero())
	require.Equal(t, 1, s.SlotsTaken)
	require.Len(t, s.Pairs, 1)
	p := s.Pairs[0]
	require.Equal(t, native.address.ID, p.NativeID)
	require.Equal(t, shown.ID(), p.Native.ShownAs)
	require.Equal(t, native.sw.Peers().List()[0].ID(), p.Libp2p.ShownAs)
	require.Equal(t, "native", p.Native.Moniker)
	require.Equal(t, "bridged", p.Libp2p.Network)
	require.Equal(t, "tcp", p.Native.Transport)
	require.Equal(t, compat.DialectC, p.Native.Dialect)
	require.Equal(t, libp2p.address.DialString(), p.Libp2p.Address)
	require.NotEmpty(t, p.Libp2p.Channels)

	require.Len(t, s.Targets, 1)
	require.Equal(t, TargetPaired, s.Targets[0].State)
	require.Equal(t, "ok", s.Targets[0].LastResult)
	require.NotZero(t, sum(s.Counters.Dials, func(c Count) bool { return c.Side == InitiatorLibp2p && c.Reason == "ok" }))
	require.LessOrEqual(t, sum(s.Counters.Dials, func(Count) bool { return true }), 1+native.late)
	require.Eventually(t, func() bool {
		for _, ch := range b.Status().Counters.Channels {
			if ch.To == InitiatorLibp2p && ch.Channel == chTxs {
				return ch.Traffic == Traffic{Messages: 1, Bytes: 5}
			}
		}

		return false
	}, testTimeout, time.Millisecond)

	native.stop()
	require.Equal(t, shown.ID(), next(t, libp2p.removed))
	var told []Event // the last two are about this pair
	require.Eventually(t, func() bool {
		s = b.Status()
		told = slices.DeleteFunc(s.Events, func(e Event) bool { return e.Kind != EventPairUp && e.Kind != EventPairEnded })

		return len(s.Pairs) == 0 && len(told) > 1 && told[len(told)-1].Kind == EventPairEnded
	}, testTimeout, time.Millisecond)
	require.LessOrEqual(t, len(told), 2+2*native.late)
	up, end := told[len(told)-2], told[len(told)-1]
	require.Equal(t, EventPairUp, up.Kind)
	require.Equal(t, InitiatorNative, end.Reason)
	require.NotEmpty(t, end.Text)
}

// sum adds up the counts that match.
func sum(counts []Count, match func(Count) bool) (n int) {
	for _, c := range counts {
		if match(c) {
			n += int(c.Count)
		}
	}

	return n
}

// QUIC and a native node that the bridge dialed are told, too.
func TestStatusTellsQUICAndTheDialectOfATarget(t *testing.T) {
	native, libp2p := newNode(t, InitiatorNative), newNode(t, overQUIC)
	b := newBridge(t, Config{NativePeers: addresses(native), Libp2pQUIC: true})
	libp2p.join(t, b.Libp2pAddress())
	require.Eventually(t, func() bool { return len(b.Status().Pairs) == 1 }, testTimeout, time.Millisecond)
	p := b.Status().Pairs[0]
	require.Equal(t, "quic", p.Libp2p.Transport)
	require.Equal(t, compat.DialectC, p.Native.Dialect)
	require.Equal(t, types.StackNative, p.Native.Stack)
}

// A node that gets no pair is listed with the reason and the cure, until it gets one.
func TestRefusedNodesAreListedWithACure(t *testing.T) {
	libp2p, native := newNode(t, InitiatorLibp2p), newNode(t, InitiatorNative)
	b := newBridge(t, Config{})
	require.False(t, native.comes(t, b.NativeAddress()))
	s := b.Status()
	require.Len(t, s.Waiting, 1)
	w := s.Waiting[0]
	require.Equal(t, native.address.ID, w.ID)
	require.Equal(t, InitiatorNative, w.Initiator)
	require.Equal(t, "native", w.Moniker)
	require.Equal(t, "no target", w.Reason)
	require.Contains(t, w.Cure, "[bridge].libp2p_peers")
	require.Equal(t, uint64(w.Count), s.Counters.Refusals[0].Count)
	require.Equal(t, EventRefused, s.Events[0].Kind)

	require.NoError(t, b.Connect(InitiatorLibp2p, libp2p.address))
	require.True(t, native.comes(t, b.NativeAddress()))
	require.Eventually(t, func() bool { return len(b.Status().Waiting) == 0 }, testTimeout, time.Millisecond)
}

func TestFailedTargetsAreListedWithTheirError(t *testing.T) {
	gone, native := newNode(t, InitiatorLibp2p), newNode(t, InitiatorNative)
	b := newBridge(t, Config{Libp2pPeers: addresses(gone)})
	gone.stop()
	require.False(t, native.comes(t, b.NativeAddress()))
	s := b.Status()
	require.Equal(t, TargetDown, s.Targets[0].State)
	require.Equal(t, "unreachable", s.Targets[0].LastResult)
	require.NotEmpty(t, s.Targets[0].LastError)
	require.True(t, s.Targets[0].NextTry.After(s.Targets[0].LastDial))
	require.Equal(t, "targets down", s.Waiting[0].Reason)
}

// Nothing in the journal grows with the number of strangers, and refusals do not push out
// the events of pairs.
func TestJournalIsBounded(t *testing.T) {
	j := newJournal()
	j.operator("first")
	for range 3 * maxWaiting {
		id := types.GenerateNodeKey().ID()
		j.refused(InitiatorNative, incoming{id: id}, nil, errFull)
		j.attempt(InitiatorLibp2p, types.NetAddress{ID: id}, dialer{}, errors.New("gone"))
		j.attempt(InitiatorNative, types.NetAddress{ID: id}, dialer{}, errors.New("gone"))
	}
	var s Status
	j.fill(&s)
	require.Len(t, s.Waiting, maxWaiting)
	require.Len(t, j.dialed, maxDialed)
	require.Len(t, s.Events, maxEvents+1)
	require.Equal(t, "first", s.Events[0].Text)
	require.Equal(t, []Count{{Side: InitiatorNative, Reason: "full", Count: 3 * maxWaiting}}, s.Counters.Refusals)
}

// A text is cut: a refusal has the errors of all targets.
func TestJournalCutsTexts(t *testing.T) {
	j, id := newJournal(), types.GenerateNodeKey().ID()
	long := errors.New(strings.Repeat("ä", maxText))
	j.refused(InitiatorNative, incoming{id: id}, nil, long)
	j.attempt(InitiatorNative, types.NetAddress{ID: id}, dialer{}, long)
	s := Status{Targets: []TargetStatus{{Side: InitiatorNative, ID: id}}}
	j.fill(&s)
	texts := []string{s.Waiting[0].Text, s.Targets[0].LastError, s.Events[0].Text, s.Events[1].Text}
	for _, text := range texts {
		require.LessOrEqual(t, len(text), maxText)
		require.True(t, utf8.ValidString(text))
		require.Contains(t, text, "[...]")
	}
	require.Equal(t, "gone", cut("gone"))
}

// What is old is dropped, and a node that repeats itself makes few events.
func TestJournalForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, id := newJournal(), types.GenerateNodeKey().ID()
		for range 10 {
			j.refused(InitiatorNative, incoming{id: id}, nil, errFull)
			time.Sleep(time.Second)
		}
		var s Status
		j.fill(&s)
		require.Len(t, s.Events, 1)
		require.Equal(t, 10, s.Waiting[0].Count)
		require.Equal(t, 1, s.Seen.Native)

		time.Sleep(WaitingAge)
		j.fill(&s)
		require.Empty(t, s.Waiting)
		time.Sleep(SeenAge)
		s = Status{}
		j.fill(&s)
		require.Zero(t, s.Seen)
	})
}

func TestReasonsOfRefusals(t *testing.T) {
	for want, err := range map[string]error{
		"blocked": errBlocked, "presented": errPresented, "full": errFull, "duplicate IP": errDuplicateIP, "no target": errNoTargets,
		"incompatible": errors.Join(errNoCounterpart, types.ErrIncompatibleNetworks),
		"targets full": errors.Join(errNoCounterpart, compat.Reject(compat.RejectFull, "")),
		"other":        errors.New("something else"),
	} {
		reason, cure := explain(err)
		require.Equal(t, want, reason)
		require.NotEmpty(t, cure)
	}
}

func TestLatencyHistogram(t *testing.T) {
	var m sideMeter
	for _, took := range []time.Duration{time.Microsecond, 20 * time.Microsecond, 3 * time.Millisecond, time.Minute} {
		m.relayed(chTxs, 2, took)
	}
	m.drop(chVotes)
	channels, latency := m.counts(InitiatorNative)
	require.Equal(t, []ChannelCounts{
		{To: InitiatorNative, Channel: chVotes, Dropped: 1},
		{To: InitiatorNative, Channel: chTxs, Traffic: Traffic{Messages: 4, Bytes: 8}},
	}, channels)
	require.Len(t, latency.Counts, len(latency.Bounds)+1)
	require.Equal(t, uint64(2), latency.Counts[0])
	require.Equal(t, uint64(3), latency.Counts[len(latencyBounds)-1])
	require.Equal(t, uint64(4), latency.Counts[len(latencyBounds)])
	require.InDelta(t, 60.003021, latency.Sum, 1e-9)
}

// A status is JSON whatever a node calls itself.
func TestStatusIsJSON(t *testing.T) {
	j := newJournal()
	in := incoming{id: types.GenerateNodeKey().ID(), node: types.NodeInfo{Moniker: "<script>\xff\x00"}}
	j.refused(InitiatorNative, in, nil, errFull)
	var s Status
	j.fill(&s)
	data, err := json.Marshal(s)
	require.NoError(t, err)
	require.NotContains(t, string(data), "<script>")
	require.True(t, json.Valid(data))
}

// The page on metrics lists every reason of a refusal.
func TestPageListsTheReasons(t *testing.T) {
	page := pagetest.Read(t, "docs/metrics.md")
	for _, r := range reasons {
		require.Contains(t, page, "`"+r.reason+"`")
	}
	for _, k := range kinds {
		require.Contains(t, page, "`"+k[0]+"`")
	}
}

// A target takes nobody if it has refused a known node, or has no room for strangers of two hosts,
// since it has taken one. What it says of one network, or of a stranger, is that one's affair.
func TestTargetThatRefuses(t *testing.T) {
	full, id := compat.Reject(compat.RejectFull, "full"), types.GenerateNodeKey().ID()
	banned, invalid := &compat.RejectError{Code: compat.RejectBanned, Reason: "refused for 1m", Remote: true}, compat.Reject(compat.RejectInvalid, "node info")
	duplicate, closing := compat.Reject(compat.RejectDuplicate, ""), compat.Reject(compat.RejectClosing, "")
	refusedAtNodeInfo := &native.HandshakeError{Step: "node info", Err: io.EOF}
	from := func(ip string) dialer {
		return dialer{id: "n", from: netip.MustParsePrefix(ip + "/32"), stranger: true}
	}
	known := dialer{id: "known", from: netip.MustParsePrefix("9.9.0.1/32")}
	type dial struct {
		node dialer
		err  error
	}
	for name, c := range map[string]struct {
		dials []dial
		want  bool
	}{
		"one stranger":              {[]dial{{from("9.9.0.1"), full}, {from("9.9.0.1"), full}}, false},
		"strangers of two hosts":    {[]dial{{from("9.9.0.1"), full}, {from("9.9.0.2"), full}}, true},
		"one host has no room":      {[]dial{{from("9.9.0.1"), full}, {from("9.9.0.2"), invalid}}, false},
		"strangers at fault":        {[]dial{{from("9.9.0.1"), invalid}, {from("9.9.0.2"), invalid}, {from("9.9.0.3"), refusedAtNodeInfo}}, false},
		"of their version":          {[]dial{{from("9.9.0.1"), types.ErrIncompatibleVersions}, {from("9.9.0.2"), types.ErrIncompatibleVersions}}, false},
		"connected already":         {[]dial{{from("9.9.0.1"), duplicate}, {from("9.9.0.2"), duplicate}}, false},
		"it closes":                 {[]dial{{from("9.9.0.1"), closing}, {from("9.9.0.2"), full}}, true},
		"a known node":              {[]dial{{known, full}}, true},
		"a known node at fault":     {[]dial{{known, invalid}}, true},
		"strangers after a known":   {[]dial{{known, invalid}, {from("9.9.0.1"), invalid}}, true},
		"taken since":               {[]dial{{known, full}, {from("9.9.0.1"), nil}}, false},
		"strangers that are banned": {[]dial{{from("9.9.0.1"), banned}, {from("9.9.0.2"), banned}}, false},
		"a known one that is":       {[]dial{{known, banned}}, true},
		"of another network":        {[]dial{{known, types.ErrIncompatibleNetworks}, {from("9.9.0.2"), types.ErrIncompatibleNetworks}}, false},
		"refused, then of another":  {[]dial{{known, full}, {known, types.ErrIncompatibleNetworks}}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			j := newJournal()
			for _, d := range c.dials {
				j.attempt(InitiatorNative, types.NetAddress{ID: id}, d.node, d.err)
			}
			s := Status{Targets: []TargetStatus{{Side: InitiatorNative, ID: id}}}
			j.fill(&s)
			require.Equal(t, c.want, s.Targets[0].Refuses, name)
			time.Sleep(RefusesAge)
			j.fill(&s)
			require.False(t, s.Targets[0].Refuses)
		})
	}
}

// What is due to strangers does not make a refusal last longer than it does by itself.
func TestRefusalEndsWhateverStrangersDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, at := newJournal(), types.NetAddress{ID: types.GenerateNodeKey().ID()}
		s := Status{Targets: []TargetStatus{{Side: InitiatorNative, ID: at.ID}}}
		j.attempt(InitiatorNative, at, dialer{id: "known"}, compat.Reject(compat.RejectFull, ""))
		for range 4 {
			j.fill(&s)
			require.True(t, s.Targets[0].Refuses)
			time.Sleep(RefusesAge / 4)
			j.attempt(InitiatorNative, at, dialer{id: "stranger", stranger: true}, compat.Reject(compat.RejectInvalid, ""))
		}
		j.fill(&s)
		require.False(t, s.Targets[0].Refuses)
	})
}

func TestJoinedErrorsStandOnOneLine(t *testing.T) {
	j := newJournal()
	j.refused(InitiatorNative, incoming{id: "n"}, nil, newMissed([]error{errors.New("first"), errors.New("second")}, nil))
	require.Contains(t, j.status().Waiting[0].Text, "first; second")
	require.NotContains(t, j.status().Waiting[0].Text, "\n")
}

// Programs that read the status find a list, and not null, where there is nothing yet.
func TestStatusHasNoNull(t *testing.T) {
	b, err := New(*types.GenerateNodeKey(), Config{}, nil)
	require.NoError(t, err)
	text, err := json.Marshal(b.Status())
	require.NoError(t, err)
	require.NotContains(t, string(text), "null")
}
