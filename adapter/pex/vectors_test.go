package pex_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The bytes that released TM2 versions emit, and their verdicts on bad input.
const (
	vectorsFile   = "../../internal/wire/testdata/vectors.json"
	malformedFile = "../../internal/wire/testdata/malformed.json"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b

	return err
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, into))
}

func loadVectors(t testing.TB) map[string][]byte {
	t.Helper()
	var file struct {
		Discovery []struct {
			Name string
			Any  hexBytes
		}
	}
	readJSON(t, vectorsFile, &file)
	vectors := make(map[string][]byte)
	for _, v := range file.Discovery {
		vectors[v.Name] = v.Any
	}
	require.Contains(t, vectors, "request")

	return vectors
}

// malformed is a discovery message and what the versions make of it.
type malformed struct {
	ID, Kind, Description string
	Input                 hexBytes // not of all kinds
	Verdicts              map[string]json.RawMessage
}

func loadMalformed(t testing.TB) (cases []malformed) {
	t.Helper()
	var file struct {
		Cases []malformed `json:"byte_cases"`
	}
	readJSON(t, malformedFile, &file)
	for _, c := range file.Cases {
		if c.Kind == "discovery-message" {
			cases = append(cases, c)
		}
	}
	require.NotEmpty(t, cases)

	return cases
}

// accepted is the verdict of v1.7.1.
func (c malformed) accepted(t *testing.T) bool {
	t.Helper()
	raw, ok := c.Verdicts["all"]
	if !ok {
		raw, ok = c.Verdicts["v1.7.1"]
	}
	require.True(t, ok, c.ID)
	var v struct{ Verdict string }
	require.NoError(t, json.Unmarshal(raw, &v))

	return v.Verdict == "accept"
}

// The node asks and answers with the very bytes of TM2.
func TestBytesAreTM2s(t *testing.T) {
	vectors := loadVectors(t)
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n, asker := newNode(t, network, nodeOptions{}), newStranger(t, network, nil)
		defer n.stop(t)
		defer asker.stop(t)
		connect(t, n, asker)
		require.Equal(t, [][]byte{vectors["request"]}, asker.take())

		known, err := types.ParseNetAddress("g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m@1.2.3.4:26656")
		require.NoError(t, err)
		n.book.MarkConnected(known, true)
		asker.send(t, n, vectors["request"])
		require.Equal(t, [][]byte{vectors["response_1"]}, asker.take())
	})
}

// Responses of TM2 are taken as TM2 takes them, except that a loopback address counts
// only between nodes on loopback.
func TestResponsesOfTM2AreTaken(t *testing.T) {
	vectors := loadVectors(t)
	private, loopback := []string(nil), []string{"127.0.0.8", "127.0.0.9"}
	for _, c := range []struct {
		ips  []string // of the node and of the peer
		name string
		want pex.Stats
	}{
		{private, "response_1", pex.Stats{ResponsesReceived: 1, AddressesReceived: 1, AddressesAdded: 1}},
		{private, "response_2", pex.Stats{ResponsesReceived: 1, AddressesReceived: 2, AddressesAdded: 2}},
		{private, "response_localhost", pex.Stats{ResponsesReceived: 1, AddressesReceived: 1, AddressesSkipped: 1}},
		{loopback, "response_localhost", pex.Stats{ResponsesReceived: 1, AddressesReceived: 1, AddressesAdded: 1}},
		// They are of six IDs, five each, of which the book keeps two of one source.
		// One has the address of the node itself.
		{private, "response_30", pex.Stats{ResponsesReceived: 1, AddressesReceived: 30, AddressesSkipped: 1, AddressesAdded: 12}},
		{private, "response_31", pex.Stats{Invalid: 1}},
	} {
		dialedByAt(t, c.ips, func(t *testing.T, n *node, s *stranger) {
			s.send(t, n, vectors[c.name])
			got := n.pex.Stats()
			got.RequestsSent, got.AddressesKnown = 0, 0
			require.Equal(t, c.want, got, "%s at %v", c.name, c.ips)
		})
	}
}

// The reactor refuses what v1.7.1 refuses, and nothing else. TM2 never sees an
// empty message on a stack of ours.
func TestVerdictsAreTM2s(t *testing.T) {
	for _, c := range loadMalformed(t) {
		if len(c.Input) == 0 {
			continue
		}
		dialedBy(t, func(t *testing.T, n *node, s *stranger) {
			s.send(t, n, c.Input)
			stats := n.pex.Stats()
			require.Equal(t, c.accepted(t), stats.Invalid == 0, "%s: %s", c.ID, c.Description)
			require.EqualValues(t, 1, stats.Invalid+stats.ResponsesReceived+stats.RequestsReceived, c.ID)
			require.True(t, n.Peers().Has(s.id()))
		})
	}
}
