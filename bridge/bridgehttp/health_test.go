package bridgehttp_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/tunnel"
)

func nativeTarget(state string) bridge.TargetStatus {
	return bridge.TargetStatus{Side: bridge.InitiatorNative, Configured: true, State: state}
}

// learned is a libp2p target that is not configured.
func learned(state string) bridge.TargetStatus {
	return bridge.TargetStatus{Side: bridge.InitiatorLibp2p, State: state}
}

// healthCase is a change to a bridge that works, and the health that follows.
type healthCase struct {
	change func(*bridge.Status)
	state  string
	ready  bool
	reason string
}

func requireHealth(t *testing.T, cases map[string]healthCase) {
	t.Helper()
	for name, tc := range cases {
		s := working()
		tc.change(&s)
		h := bridgehttp.Judge(s)
		require.Equal(t, tc.state, h.State, name)
		require.Equal(t, tc.ready, h.Ready, name)
		require.Equal(t, name == "refused" || name == "refused and full", h.Refused == 1, name)
		require.Contains(t, h.Reason, tc.reason, name)
		if h.State == bridgehttp.StateDegraded || name == "no targets" {
			require.NotEmpty(t, h.Cure, name)
		}
	}
}

func TestJudge(t *testing.T) {
	known := func(reason string) bridge.WaitingStatus {
		return bridge.WaitingStatus{Reason: reason, Cure: "more", Known: true}
	}
	requireHealth(t, map[string]healthCase{
		"works":   {func(*bridge.Status) {}, bridgehttp.StateOK, true, "1 pair is up, nobody who should have one is refused."},
		"stopped": {func(s *bridge.Status) { s.Running = false }, bridgehttp.StateDown, false, "does not run"},
		"no targets": {func(s *bridge.Status) { s.Targets = nil }, bridgehttp.StateDown, false,
			"No target is known, so"},
		"targets blocked": {func(s *bridge.Status) {
			s.Targets[0].State, s.BlockedIPs = bridge.TargetBlocked, []string{"192.0.2.0/24"}
		}, bridgehttp.StateDown, false, "All of 1 configured libp2p target are blocked"},
		"all down": {func(s *bridge.Status) { s.Targets[0].State = bridge.TargetDown }, bridgehttp.StateDown, false,
			"None of 1 configured libp2p target can be reached"},
		"all refuse": {func(s *bridge.Status) { s.Targets[0].Refuses = true }, bridgehttp.StateDown, false,
			"None of 1 configured libp2p target takes a node"},
		"one of two down": {func(s *bridge.Status) {
			s.Targets = append(s.Targets, bridge.TargetStatus{Side: bridge.InitiatorLibp2p, Configured: true, State: bridge.TargetDown})
		}, bridgehttp.StateDegraded, true, "1 of 2 configured targets cannot be reached."},
		"one side down": {func(s *bridge.Status) {
			s.Targets = append(s.Targets, nativeTarget(bridge.TargetDown))
		}, bridgehttp.StateDegraded, false, "None of 1 configured native target can be reached, so that libp2p nodes get no pair."},
		"one side refuses": {func(s *bridge.Status) {
			s.Targets = append(s.Targets, nativeTarget(bridge.TargetTroubled))
			s.Targets[1].Refuses = true
		}, bridgehttp.StateDegraded, false, "None of 1 configured native target takes a node, so that libp2p nodes get no pair."},
		"both sides down": {func(s *bridge.Status) {
			s.Targets[0].State = bridge.TargetDown
			s.Targets = append(s.Targets, nativeTarget(bridge.TargetDown))
		}, bridgehttp.StateDown, false, "native nodes get no pair. None of 1 configured native target"},
		"a hint is down": {func(s *bridge.Status) {
			s.Targets = append(s.Targets, bridge.TargetStatus{Side: bridge.InitiatorNative, State: bridge.TargetDown})
		}, bridgehttp.StateOK, true, "1 pair is up"},
		"refused": {func(s *bridge.Status) {
			s.Waiting = []bridge.WaitingStatus{known("incompatible"), known("blocked")}
		}, bridgehttp.StateDegraded, true, "1 node gets no pair: incompatible."},
		"refused and full": {func(s *bridge.Status) {
			s.Waiting, s.SlotsTaken = []bridge.WaitingStatus{known("full")}, 4
		}, bridgehttp.StateDegraded, false, "4 of 4 slots are taken."},
		"refused as meant": {func(s *bridge.Status) { s.Waiting = []bridge.WaitingStatus{known("blocked"), known("conduct")} },
			bridgehttp.StateOK, true, "1 pair is up"},
		"full": {func(s *bridge.Status) { s.SlotsTaken = 4 }, bridgehttp.StateDegraded, false, "4 of 4 slots are taken."},
		"full for one side": {func(s *bridge.Status) {
			s.SlotsTaken = 3
			s.Sides = []bridge.SideStatus{{Initiator: bridge.InitiatorNative, SlotsTaken: 3, MaxSlots: 3}}
		}, bridgehttp.StateDegraded, false, "3 of 3 slots for native nodes are taken."},
		"full for a side that nobody uses": {func(s *bridge.Status) {
			s.Sides = []bridge.SideStatus{{Initiator: bridge.InitiatorLibp2p, SlotsTaken: 3, MaxSlots: 3}}
		}, bridgehttp.StateOK, true, "1 pair is up"},
		"flapping": {func(s *bridge.Status) {
			s.Flapping = []bridge.FlappingStatus{{ID: idB, Ended: 2}, {ID: idA, Initiator: bridge.InitiatorLibp2p, Ended: 7, Known: true, Cure: "more"}}
		}, bridgehttp.StateDegraded, true, "Pairs of the libp2p node " + idA.String() + " end and come again, 7 times in a row."},
		"a stranger flaps": {func(s *bridge.Status) { s.Flapping = []bridge.FlappingStatus{{ID: idA, Ended: 7}} },
			bridgehttp.StateOK, true, "1 pair is up"},
		"idle": {func(s *bridge.Status) { s.Pairs = nil }, bridgehttp.StateIdle, true, "No node is paired yet."},
	})
}

func TestJudgeStrangers(t *testing.T) {
	requireHealth(t, map[string]healthCase{
		"strangers refused": {func(s *bridge.Status) {
			s.Waiting = []bridge.WaitingStatus{{Reason: "incompatible"}, {Reason: "full"}, {Reason: "blocked"}}
		}, bridgehttp.StateOK, true, "is refused. 2 strangers are refused, the last: incompatible."},
		"a stranger at an idle bridge": {func(s *bridge.Status) {
			s.Pairs, s.Waiting = nil, []bridge.WaitingStatus{{Reason: "incompatible"}}
		}, bridgehttp.StateIdle, true, "1 stranger is refused"},
	})
}

// A target that is not configured counts once it has proved that it can be used, unless the bridge
// lives from such targets alone.
func TestJudgeLearnedTargets(t *testing.T) {
	requireHealth(t, map[string]healthCase{
		"a stranger announces an address": {func(s *bridge.Status) {
			s.Targets[0].State = bridge.TargetDown
			s.Targets = append(s.Targets, learned(bridge.TargetReady))
		}, bridgehttp.StateDown, false, "None of 1 configured libp2p target can be reached"},
		"a learned target has answered": {func(s *bridge.Status) {
			s.Targets[0].State = bridge.TargetDown
			s.Targets = append(s.Targets, learned(bridge.TargetTroubled))
			s.Targets[1].LastAnswer = s.Started
		}, bridgehttp.StateDegraded, true, "1 of 1 configured target cannot be reached."},
		"a learned target has failed since": {func(s *bridge.Status) {
			s.Targets[0].State = bridge.TargetDown
			s.Targets = append(s.Targets, learned(bridge.TargetReady))
			s.Targets[1].LastAnswer, s.Targets[1].Failures = s.Started, 1
		}, bridgehttp.StateDown, false, "None of 1 configured libp2p target can be reached"},
		"a learned target has a pair": {func(s *bridge.Status) {
			s.Targets[0].State, s.Targets[0].ID = bridge.TargetDown, idA
			s.Targets = append(s.Targets, learned(bridge.TargetPaired))
			s.Targets[1].ID = idB
		}, bridgehttp.StateDegraded, true, "1 of 1 configured target cannot be reached."},
		"learned targets alone": {func(s *bridge.Status) {
			s.Targets, s.Pairs = []bridge.TargetStatus{learned(bridge.TargetReady)}, nil
		}, bridgehttp.StateIdle, true, "No node is paired yet."},
		"a stranger is no target of the other side": {func(s *bridge.Status) {
			s.Targets = []bridge.TargetStatus{nativeTarget(bridge.TargetDown), learned(bridge.TargetReady)}
		}, bridgehttp.StateDown, false, "None of 1 configured native target can be reached"},
	})
}

func TestJudgeTunnels(t *testing.T) {
	requireHealth(t, map[string]healthCase{
		"tunnels alone": {func(s *bridge.Status) {
			s.Targets, s.Pairs, s.Tunnels = nil, nil, []tunnel.Status{{ID: idA, InReach: true}, {ID: idB, Dialable: true}, {}}
		}, bridgehttp.StateIdle, true, "No node is paired yet."},
		"a tunnel is open": {func(s *bridge.Status) {
			s.Targets, s.Pairs, s.Tunnels = nil, nil, []tunnel.Status{{ID: idA, InReach: true, Open: []tunnel.Open{{}}}}
		}, bridgehttp.StateOK, true, "1 tunnel is open."},
		"one of two nodes with a tunnel is away": {func(s *bridge.Status) {
			s.Targets, s.Tunnels = nil, []tunnel.Status{{ID: idA, InReach: true}, {ID: idB}}
		}, bridgehttp.StateDegraded, true, "1 of 2 nodes with a tunnel cannot be reached"},
		"all nodes with a tunnel are away": {func(s *bridge.Status) { s.Targets, s.Tunnels = nil, []tunnel.Status{{ID: idA}} },
			bridgehttp.StateDown, false, "1 of 1 node with a tunnel cannot be reached"},
		"a stranger at a bridge for tunnels": {func(s *bridge.Status) {
			s.Targets, s.Tunnels = []bridge.TargetStatus{learned(bridge.TargetReady)}, []tunnel.Status{{ID: idA}}
		}, bridgehttp.StateDown, false, "1 of 1 node with a tunnel cannot be reached"},
		"a node with a tunnel is away beside pairs": {func(s *bridge.Status) { s.Tunnels = []tunnel.Status{{ID: idA}} },
			bridgehttp.StateDegraded, true, "1 of 1 node with a tunnel cannot be reached"},
		"stopped with a tunnel": {func(s *bridge.Status) {
			s.Targets, s.Running, s.Tunnels = nil, false, []tunnel.Status{{ID: idA, InReach: true}}
		}, bridgehttp.StateDown, false, "does not run"},
	})
}

// Each side is ready on its own, and the bridge if all that are in use are.
func TestReadyzOfASide(t *testing.T) {
	s := &source{status: working()}
	server := newServer(t, s)
	require.Equal(t, http.StatusOK, get(server, "/readyz").Code)
	require.Equal(t, http.StatusOK, get(server, "/readyz?side=native").Code)
	w := get(server, "/readyz?side=libp2p")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), "No native target is known")

	s.change(func(status *bridge.Status) { status.Targets = append(status.Targets, nativeTarget(bridge.TargetDown)) })
	w = get(server, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), "None of 1 configured native target can be reached")
	require.Equal(t, http.StatusOK, get(server, "/readyz?side=native").Code)
	require.Equal(t, http.StatusBadRequest, get(server, "/readyz?side=both").Code)
}
