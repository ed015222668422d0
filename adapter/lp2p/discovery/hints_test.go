package discovery

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// counted is as much of a switch as openSlots looks at.
type counted struct {
	compat.Switch
	compat.PeerSet
	outbound uint64
}

func (c *counted) Peers() compat.PeerSet { return c }
func (c *counted) NumOutbound() uint64   { return c.outbound }

// telling is one that tells its slots, too.
type telling struct {
	counted
	taken, limit uint64
}

func (c *telling) OutboundSlots() (uint64, uint64) { return c.taken, c.limit }

func TestOpenSlots(t *testing.T) {
	number := func(n uint64) *uint64 { return &n }
	for name, c := range map[string]struct {
		sw    compat.Switch
		limit *uint64
		want  int
	}{
		"counts peers":               {&counted{outbound: 4}, nil, 6},
		"counts peers up to a limit": {&counted{outbound: 4}, number(5), 1},
		"has more than the limit":    {&counted{outbound: 4}, number(3), 0},
		"has room for hundreds":      {&counted{}, number(500), maxHints},
		"an inbound peer holds one":  {&telling{counted{outbound: 4}, 5, 6}, nil, 1},
		"all are taken so":           {&telling{counted{outbound: 4}, 5, 5}, nil, 0},
		"persistent peers are more":  {&telling{counted{outbound: 7}, 7, 5}, nil, 0},
		"dialed ones hold others":    {&telling{counted{outbound: 4}, 2, 4}, nil, 2},
		"told to look for fewer":     {&telling{counted{outbound: 1}, 2, 9}, number(4), 2},
		"told to look for more":      {&telling{counted{outbound: 1}, 2, 4}, number(9), 2},
		"told to look for nobody":    {&telling{counted{}, 0, 10}, number(0), 0},
	} {
		d := &Discovery{opts: &options{maxOutbound: c.limit}}
		d.BaseReactor = compat.NewBaseReactor("dht", d)
		d.SetSwitch(c.sw)
		require.Equal(t, c.want, d.openSlots(), name)
	}
}

// eager is a client with one slot open that hears of hints.
type eager struct {
	Client
	hints chan *types.NetAddress
}

func (e *eager) DialPeers(addrs ...*types.NetAddress) {
	for _, a := range addrs {
		e.hints <- a
	}
}

func (*eager) HasPeer(types.ID) bool           { return false }
func (*eager) OutboundSlots() (uint64, uint64) { return 0, 1 }

// idleTransport is one of a node on loopback that does not listen.
func idleTransport(t *testing.T) *lp2p.Transport {
	t.Helper()
	key := types.GenerateNodeKey()
	tr, err := lp2p.NewTransport(types.NodeInfo{
		NetAddress: &types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)}, Network: "test", Moniker: "node",
	}, *key, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })

	return tr
}

// Who has answered is hinted while the lookup goes on, however long others hold it
// up.
func TestHintsComeDuringALookup(t *testing.T) {
	client := &eager{hints: make(chan *types.NetAddress, 1)}
	d, err := New(idleTransport(t), WithClient(client))
	require.NoError(t, err)
	p := somePeer(t, 1)
	want, err := d.ids.Of(p)
	require.NoError(t, err)
	n := d.hinting(time.Millisecond, func() error {
		addr := netAddress(want, netip.MustParseAddrPort("5.6.7.8:9"))
		d.book.MarkAnswered(&addr, types.StackLibp2p)
		d.records.noteAnswer(p, time.Now())
		require.Equal(t, want, (<-client.hints).ID) // or the test hangs

		return nil
	})
	require.Equal(t, 1, n)
	d.loops.Wait()
}

// trying is a switch whose slots are all taken, and that may try another peer all the same.
type trying struct {
	telling
	told []*types.NetAddress
}

func (s *trying) Peers() compat.PeerSet                  { return s }
func (*trying) Has(types.ID) bool                        { return false }
func (*trying) List() []compat.PeerConn                  { return nil }
func (s *trying) DialPeers(addrs ...*types.NetAddress)   { s.told = append(s.told, addrs...) }
func (*trying) DialHints(types.ID, ...*types.NetAddress) {}

// A switch without a free slot is told of a few peers, so that it can try one of another network,
// unless it cannot, or has slots that discovery is not to fill.
func TestFullSwitchIsOfferedPeers(t *testing.T) {
	d, err := New(idleTransport(t))
	require.NoError(t, err)
	for i := range 2 * maxOffered {
		p := somePeer(t, i)
		id, err := d.ids.Of(p)
		require.NoError(t, err)
		addr := netAddress(id, netip.AddrPortFrom(netip.AddrFrom4([4]byte{5, byte(i), 7, 8}), 9))
		d.book.MarkAnswered(&addr, types.StackLibp2p)
		d.records.noteAnswer(p, time.Now())
	}
	open := &trying{telling: telling{taken: 4, limit: 5}}
	d.SetSwitch(open)
	d.offer()
	require.Empty(t, open.told)
	full := &trying{telling: telling{taken: 5, limit: 5}}
	d.SetSwitch(full)
	require.Zero(t, d.hint())
	d.offer()
	require.Len(t, full.told, maxOffered)
	other := &telling{taken: 5, limit: 5}
	d.SetSwitch(other)
	d.offer() // it would panic if it told this one
}

// The switch is told of peers at many hosts, whoever has many keys at one.
func TestHintsAreSpreadOverHosts(t *testing.T) {
	host := func(i int) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{5, 6, 7, byte(i)}), 32) }
	var list []candidate
	for i := range 60 {
		list = append(list, candidate{p: somePeer(t, i), host: host(1)})
	}
	for i := range 8 {
		list = append(list, candidate{p: somePeer(t, 100+i), host: host(10 + i)})
	}
	count := func(picked []candidate) (at1 int) {
		seen := make(map[peer.ID]bool)
		for _, c := range picked {
			require.False(t, seen[c.p])
			seen[c.p] = true
			if c.host == host(1) {
				at1++
			}
		}

		return at1
	}
	picked := pick(list, map[netip.Prefix]int{}, 6)
	require.Len(t, picked, 6)
	require.Equal(t, 1, count(picked))
	picked = pick(list, map[netip.Prefix]int{}, maxHints)
	require.Len(t, picked, 8+maxPerHost, "there are no others")
	require.Equal(t, maxPerHost, count(picked))
	picked = pick(list, map[netip.Prefix]int{host(1): maxPerHost, host(10): 1}, maxHints)
	require.Len(t, picked, 8, "outbound peers count")
	require.Zero(t, count(picked))
	require.Equal(t, host(10), picked[7].host, "one that has a peer comes last")

	for i := range list {
		list[i].host = netip.Prefix{} // any number may be there
	}
	require.Equal(t, list[:maxHints], pick(list, map[netip.Prefix]int{}, maxHints))
}
