package probe_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/probe"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// answering answers each request on the channel of peer exchange with the next of its answers,
// after a request of its own.
type answering struct {
	compat.BaseReactor
	answers [][]byte
}

func (*answering) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: pex.Channel, Priority: 1, SendQueueCapacity: 10}}
}

func (r *answering) Receive(_ byte, peer compat.PeerConn, msg []byte) {
	if _, request, err := wire.DecodeDiscovery(msg); err == nil && request && len(r.answers) > 0 {
		peer.TrySend(pex.Channel, wire.AppendRequest(nil))
		peer.TrySend(pex.Channel, r.answers[0])
		r.answers = r.answers[1:]
	}
}

// listenOn returns a transport of one of the stacks that listens, for a node with peer exchange.
func listenOn(t *testing.T, stack string) compat.ListeningTransport {
	t.Helper()
	key := types.GenerateNodeKey()
	info := nodeInfo(key.ID())
	info.Channels = []byte{pex.Channel}
	var tr compat.ListeningTransport = native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil)
	if stack == probe.StackLibp2p {
		var err error
		tr, err = lp2p.NewTransport(info, *key, nil, patientTimeouts())
		require.NoError(t, err)
	}
	require.NoError(t, tr.Listen(loopback(key.ID())))

	return tr
}

// startAnswering starts a node with the answers on one of the stacks.
func startAnswering(t *testing.T, stack string, answers ...[]byte) string {
	t.Helper()

	return startSwitch(t, listenOn(t, stack), answers)
}

// startFull starts a node without places for peers.
func startFull(t *testing.T, stack string) string {
	t.Helper()

	return startSwitch(t, listenOn(t, stack), nil, adapter.WithMaxInboundPeers(0))
}

// startSwitch starts a switch that answers.
func startSwitch(t *testing.T, mt compat.ListeningTransport, answers [][]byte, opts ...adapter.SwitchOption) string {
	t.Helper()
	r := &answering{answers: answers}
	r.BaseReactor = *compat.NewBaseReactor("answering", r)
	sw := adapter.NewMultiplexSwitch(mt, append(opts, adapter.WithReactor("pex", r), adapter.WithAllowDuplicateIP(true))...)
	require.NoError(t, sw.Start())
	t.Cleanup(func() {
		require.NoError(t, sw.Stop())
		require.NoError(t, mt.Close())
	})

	return dialString(mt)
}

// told returns addresses of nodes from number first on.
func told(first, count int) (texts []string) {
	for i := range count {
		texts = append(texts, fmt.Sprintf("g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m@127.0.0.1:%d", first+i))
	}

	return texts
}

var stacks = []string{probe.StackNative, probe.StackLibp2p}

// asked probes a node for peers until it has told so many, or was refused. If an answer was late, or a handshake,
// it starts another node, since a node gives each of its answers once: an answer may take 2 s, and a step of a
// handshake 3 s.
func asked(t *testing.T, want int, start func() string) (r *probe.Result, at string) {
	t.Helper()
	for range attempts {
		var err error
		at = start()
		r, err = reached(t, probe.Options{Peers: true}.Patient(patient), at)
		require.NoError(t, err)
		if r.Peers != nil && !slices.ContainsFunc(r.Peers.Refused, wasLate) && (len(r.Peers.Refused) > 0 || len(r.Peers.Exchanged) >= want) {
			break
		}
		t.Logf("%s was late: %v %+v", at, r.Notes, r.Peers)
	}
	require.NotNil(t, r.Peers, "%v", r.Notes)

	return r, at
}

// wasLate tells whether one end has waited too long for the other one. A native node then hangs up.
func wasLate(err error) bool {
	return compat.ClassifyDial(err) == compat.DialTimedOut || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

// A node is asked again while its answers are full.
func TestAskForPeers(t *testing.T) {
	for _, stack := range stacks {
		r, at := asked(t, 50, func() string {
			return startAnswering(t, stack, wire.AppendResponse(nil, told(1, 30)), wire.AppendResponse(nil, told(20, 30)), wire.AppendResponse(nil, told(100, 1)))
		})
		require.Empty(t, r.Peers.Refused)
		require.Len(t, r.Peers.Exchanged, 50)

		r, err := reached(t, probe.Options{Peers: true, Network: "another"}.Patient(patient), at)
		require.NoError(t, err)
		require.Nil(t, r.Peers, "nodes of other networks are not asked")
	}
}

// A node that knows nobody sends no answer.
func TestNobodyToTell(t *testing.T) {
	t.Parallel()
	for _, stack := range stacks {
		r, _ := asked(t, 0, func() string { return startAnswering(t, stack) })
		require.Empty(t, r.Peers.Exchanged)
		require.Empty(t, r.Peers.Refused)
	}
}

// An answer that is not valid is dropped whole, and said.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	for _, stack := range stacks {
		for want, answer := range map[string][]byte{
			"type URL":     {0x0a, 0x02, '/', 'x'},
			"more than 30": wire.AppendResponse(nil, told(1, 31)),
			"told address": wire.AppendResponse(nil, []string{told(1, 1)[0], "nonsense"}),
			"8192":         make([]byte, 9000),
			"unspecified":  wire.AppendResponse(nil, []string{"g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m@0.0.0.0:1"}),
		} {
			r, _ := asked(t, 1, func() string { return startAnswering(t, stack, answer) })
			require.Empty(t, r.Peers.Exchanged)
			require.Len(t, r.Peers.Refused, 1)
			require.ErrorContains(t, r.Peers.Refused[0], want)
		}
	}
}

// A libp2p node that takes no peers says so. A native one hangs up before its handshake, once its
// switch accepts.
func TestFullNode(t *testing.T) {
	r, err := reached(t, probe.Options{Peers: true}.Patient(patient), startFull(t, probe.StackLibp2p))
	require.NoError(t, err)
	require.Len(t, r.Peers.Refused, 1)

	for ctx, at := bounded(t), startFull(t, probe.StackNative); err == nil; {
		_, err = probe.Options{Peers: true}.Probe(ctx, at)
	}
	require.ErrorIs(t, err, probe.ErrUnknownPeer)
	require.ErrorContains(t, err, "full")
}

// A node without the channel, and one that serves no DHT, are not asked, and that is no fault.
func TestNodesThatCannotBeAsked(t *testing.T) {
	_, at := startNative(t, types.GenerateNodeKey())
	_, libp2pAt := startLibp2p(t, types.GenerateNodeKey())
	for _, address := range []string{at, libp2pAt} {
		r, err := reached(t, probe.Options{Peers: true}.Patient(patient), address)
		require.NoError(t, err)
		require.Equal(t, &probe.Peers{}, r.Peers)
	}
}
