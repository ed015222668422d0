package discovery

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// anchored is a switch with an anchor that notes whom it is told to dial.
type anchored struct {
	counted
	anchor types.NetAddress
	dialed []types.NetAddress
}

func (a *anchored) Anchors() []types.NetAddress { return []types.NetAddress{a.anchor} }

func (a *anchored) Peers() compat.PeerSet { return a }

func (*anchored) List() []compat.PeerConn { return nil }

func (*anchored) Subscribe(events.EventFilter) (<-chan events.Event, func()) {
	return make(chan events.Event), func() {}
}

func (a *anchored) DialPeers(addrs ...*types.NetAddress) {
	for _, addr := range addrs {
		a.dialed = append(a.dialed, *addr)
	}
}

// Outbound peers that have lasted are dialed first after a restart, also without a reactor for
// peer exchange.
func TestAnchorsAreDialedFirst(t *testing.T) {
	key := types.GenerateNodeKey()
	at := types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)}
	book, err := addrbook.Open("", at)
	require.NoError(t, err)
	tr, err := lp2p.NewTransport(types.NodeInfo{NetAddress: &at, Network: "test", Moniker: "node"}, *key, nil, lp2p.WithAddrBook(book))
	require.NoError(t, err)
	defer func() { require.NoError(t, tr.Close()) }()
	sw := &anchored{}
	for i := range 3 {
		sw.anchor = types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(9, 8, 7, byte(i)), Port: 1}
		book.MarkAnswered(&sw.anchor, types.StackLibp2p)
	}
	d, err := New(tr, WithMaxOutboundPeers(0))
	require.NoError(t, err)
	d.SetSwitch(sw)
	d.rememberAnchors()
	require.NoError(t, d.Start())
	require.NoError(t, d.Stop())
	require.Len(t, sw.dialed, 1)
	require.Equal(t, sw.anchor.String(), sw.dialed[0].String())
}
