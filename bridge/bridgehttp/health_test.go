package bridgehttp_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
)

func TestJudge(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*bridge.Status)
		state  string
		ready  bool
		reason string
	}{
		"works":   {func(*bridge.Status) {}, bridgehttp.StateOK, true, "1 pair is up, nobody is refused."},
		"stopped": {func(s *bridge.Status) { s.Running = false }, bridgehttp.StateDown, false, "does not run"},
		"no targets": {func(s *bridge.Status) { s.Targets = nil }, bridgehttp.StateDown, false,
			"No target is known, so"},
		"targets blocked": {func(s *bridge.Status) { s.Targets, s.BlockedIPs = nil, []string{"192.0.2.0/24"} }, bridgehttp.StateDown, false,
			"No target is known that is not blocked"},
		"all down": {func(s *bridge.Status) { s.Targets[0].State = bridge.TargetDown }, bridgehttp.StateDown, false,
			"None of 1 configured target can be reached."},
		"one of two down": {func(s *bridge.Status) {
			s.Targets = append(s.Targets, bridge.TargetStatus{Configured: true, State: bridge.TargetDown})
		}, bridgehttp.StateDegraded, true, "1 of 2 configured targets cannot be reached."},
		"one side down": {func(s *bridge.Status) {
			s.Targets = append(s.Targets, bridge.TargetStatus{Side: bridge.InitiatorNative, Configured: true, State: bridge.TargetDown})
		}, bridgehttp.StateDegraded, true, "No configured native target can be reached"},
		"a hint is down": {func(s *bridge.Status) {
			s.Targets = append(s.Targets, bridge.TargetStatus{State: bridge.TargetDown})
		}, bridgehttp.StateOK, true, "1 pair is up"},
		"refused": {func(s *bridge.Status) {
			s.Waiting = []bridge.WaitingStatus{{Reason: "full", Cure: "more"}, {Reason: "blocked"}}
		}, bridgehttp.StateDegraded, true, "1 node gets no pair: full."},
		"refused as meant": {func(s *bridge.Status) { s.Waiting = []bridge.WaitingStatus{{Reason: "blocked"}, {Reason: "conduct"}} },
			bridgehttp.StateOK, true, "1 pair is up"},
		"full": {func(s *bridge.Status) { s.SlotsTaken = 4 }, bridgehttp.StateDegraded, false, "4 of 4 slots are taken."},
		"idle": {func(s *bridge.Status) { s.Pairs = nil }, bridgehttp.StateIdle, true, "No node is paired yet."},
	} {
		s := working()
		tc.change(&s)
		h := bridgehttp.Judge(s)
		require.Equal(t, tc.state, h.State, name)
		require.Equal(t, tc.ready, h.Ready, name)
		require.Equal(t, name == "refused", h.Refused == 1, name)
		require.Contains(t, h.Reason, tc.reason, name)
		if h.State == bridgehttp.StateDegraded || name == "no targets" {
			require.NotEmpty(t, h.Cure, name)
		}
	}
}
