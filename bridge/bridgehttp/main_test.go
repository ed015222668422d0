package bridgehttp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token   = "a token of the operator"
	hostile = `<img src=x onerror="alert(1)"></script>`
	idA     = types.ID("g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m")
	idB     = types.ID("g1zw0rjs8xfd2fzu3q3rv6p46pv28usfhqc8742q")
)

// source is a bridge with a given status that notes what it is told to do.
type source struct {
	mtx    sync.Mutex
	status bridge.Status
	done   []string
}

func (s *source) Status() bridge.Status {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return s.status
}

// change changes the status. Those that were returned stay as they are.
func (s *source) change(f func(*bridge.Status)) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.status.Targets = slices.Clone(s.status.Targets)
	f(&s.status)
}

func (s *source) note(text string) error {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.done = append(s.done, text)
	if strings.Contains(text, idB.String()) {
		return errors.Join(bridge.ErrUnknownPeer)
	}

	return nil
}

func (s *source) Connect(side string, addr types.NetAddress) error {
	return s.note("connect " + side + " " + addr.String())
}
func (s *source) Block(id types.ID) error  { return s.note("block " + id.String()) }
func (s *source) Unblock(id types.ID) bool { return s.note("unblock "+id.String()) == nil }
func (s *source) Forget(id types.ID) error { return s.note("forget " + id.String()) }

// working is the status of a bridge with one pair, one refused node and one target.
func working() bridge.Status {
	now := time.Now()

	return bridge.Status{
		ID: idA, Running: true, Started: now, MaxPairs: 4, SlotsTaken: 1,
		Pairs: []bridge.PairStatus{{
			NativeID: idA, Libp2pID: idB, Initiator: bridge.InitiatorNative, Since: now,
			Native: bridge.PeerStatus{Moniker: hostile, Channels: []bridge.QueueStatus{{Channel: 0x22, Queued: 3}}, Queued: 3},
			Libp2p: bridge.PeerStatus{Moniker: "b", Channels: []bridge.QueueStatus{{Channel: 0x22, Queued: 1}}, Queued: 1},
		}},
		Waiting: []bridge.WaitingStatus{},
		Targets: []bridge.TargetStatus{{Side: bridge.InitiatorLibp2p, ID: idB, Configured: true, State: bridge.TargetPaired}},
		Counters: bridge.Counters{
			PairsOpened: 2, PairsEnded: []bridge.Count{{Side: bridge.InitiatorLibp2p, Known: true, Count: 1}},
			Refusals: []bridge.Count{{Side: bridge.InitiatorNative, Reason: "full", Count: 5}},
			Channels: []bridge.ChannelCounts{{To: bridge.InitiatorLibp2p, Channel: 0x22, Traffic: bridge.Traffic{Messages: 7, Bytes: 70}}},
			Latency:  []bridge.LatencyCounts{{To: bridge.InitiatorLibp2p, Bounds: []float64{0.001, 0.01}, Counts: []uint64{1, 6, 7}, Sum: 0.5}},
		},
	}
}

func newServer(t *testing.T, s bridgehttp.Source, opts ...bridgehttp.Option) *bridgehttp.Server {
	t.Helper()
	server, err := bridgehttp.New(s, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })

	return server
}

// get asks for a path as a program on the same machine does.
func get(server *bridgehttp.Server, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	return do(server, http.MethodGet, path, "", change...)
}

func do(server *bridgehttp.Server, method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:36660"
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)

	return w
}
