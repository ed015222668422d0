package probe_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
)

// clockOf asks for the clock of a node that was probed at 127.0.0.1 and tells this RPC address.
func clockOf(t *testing.T, rpcAddress string) (time.Duration, bool) {
	t.Helper()

	return probe.ClockWithin(bounded(t), &probe.Result{
		Address: "127.0.0.1:26656", NodeInfo: &types.NodeInfo{Other: types.NodeInfoOther{RPCAddress: rpcAddress}},
	}, patient)
}

// The clock is asked for at the port that the node tells, and nowhere else: of a text that is no port
// nothing is asked.
func TestClockAhead(t *testing.T) {
	names := dnstest.Install(t)
	var asked atomic.Int32
	rpc := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	}))
	t.Cleanup(rpc.Close)
	at, err := url.Parse(rpc.URL)
	require.NoError(t, err)
	for _, host := range []string{"tcp://0.0.0.0:", "tcp://192.0.2.1:", "[::]:"} {
		ahead, known := clockOf(t, host+at.Port())
		require.True(t, known, host)
		require.InDelta(t, time.Hour, ahead, float64(time.Minute))
	}
	require.EqualValues(t, 3, asked.Load())

	for _, address := range []string{
		"", "tcp://0.0.0.0", "tcp://0.0.0.0:", "tcp://0.0.0.0:0", "tcp://0.0.0.0:65536", "tcp://0.0.0.0:http", "tcp://0.0.0.0:+" + at.Port(),
		"tcp://0.0.0.0:" + at.Port() + "/x", "tcp://0.0.0.0:" + at.Port() + "?x=", "tcp://0.0.0.0:" + at.Port() + "#",
		"tcp://0.0.0.0:80@other.invalid/x", "tcp://0.0.0.0:80@other.invalid/cgi?x=",
	} {
		_, known := clockOf(t, address)
		require.False(t, known, address)
	}
	require.EqualValues(t, 3, asked.Load())
	require.Zero(t, names.Queries("other.invalid"))
}
