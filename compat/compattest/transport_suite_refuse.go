package compattest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// refusalPromises cover remotes with a wrong ID or an incompatible NodeInfo.
func (s transportSuite) refusalPromises() []promiseCase {
	return []promiseCase{
		{"Dial/WrongID", s.dialWrongID},
		{"Dial/WrongID/NoPeer", s.dialWrongIDNoPeer},
		{"Dial/Self", s.dialSelf},
		{"Dial/OtherNetwork", s.incompatible(func(n *types.NodeInfo) { n.Network = "another" })},
		{"Dial/OtherVersion", s.incompatible(func(n *types.NodeInfo) {
			n.VersionSet = types.VersionSet{{Name: "p2p", Version: "v2.0.0"}}
		})},
		{"Dial/MissingProtocol", s.incompatible(func(n *types.NodeInfo) {
			n.VersionSet = append(types.VersionSet{{Name: "app", Version: "v1.0.0"}}, n.VersionSet...)
		})},
		{"Dial/NoCommonChannel", s.noCommonChannel},
	}
}

// dialWrong dials b with another ID, and then with b's own.
func (s transportSuite) dialWrong(t *testing.T) (a, b *endpoint) {
	t.Helper()
	a, b = s.endpoints(t, nil)
	b.serve(t, b.run)
	addr := b.tr.NetAddress()
	addr.ID = types.GenerateNodeKey().ID()
	peer, err := a.dial(t.Context(), addr)
	requireNoPeer(t, peer, err)

	peer, err = a.dial(t.Context(), b.tr.NetAddress())
	require.NoError(t, err)
	a.start(t, peer)
	require.True(t, peer.Send(ChannelA, []byte("right")))

	return a, b
}

func (s transportSuite) dialWrongID(t *testing.T) {
	_, b := s.dialWrong(t)
	b.await(t, "the message of the right dial", func() bool { return len(b.received) == 1 })
}

// A node that is dialed with another ID gets no peer.
func (s transportSuite) dialWrongIDNoPeer(t *testing.T) {
	_, b := s.dialWrong(t)
	b.await(t, "the message of the right dial", func() bool { return len(b.received) == 1 })
	require.NoError(t, b.shut()) // waits for pending handshakes
	require.Len(t, b.allPeers(), 1)
}

// A dial to oneself fails, or returns a peer whose ID shows it to the switch.
func (s transportSuite) dialSelf(t *testing.T) {
	a, _ := s.endpoints(t, nil)
	a.serve(t, func(compat.PeerConn) {})
	peer, err := a.dial(t.Context(), a.tr.NetAddress())
	if err != nil {
		requireNoPeer(t, peer, err)

		return
	}
	require.Equal(t, a.id(), peer.ID())
}

// incompatible returns a test in which incompatible nodes dial each other.
func (s transportSuite) incompatible(change func(*types.NodeInfo)) func(t *testing.T) {
	return func(t *testing.T) {
		a, b := s.endpoints(t, func(_, b *Spec) { change(&b.Info) })
		refused(t, a, b)
	}
}

func (s transportSuite) noCommonChannel(t *testing.T) {
	a, b := s.endpoints(t, func(a, b *Spec) {
		a.Info.Channels, b.Info.Channels = []byte{ChannelA}, []byte{ChannelB}
	})
	refused(t, a, b)
}

// refused requires that neither node gets a peer, in either direction. Their switches have
// no room either, and are not asked, since that is not the reason.
func refused(t *testing.T, a, b *endpoint) {
	t.Helper()
	var stops []func()
	for _, e := range []*endpoint{a, b} {
		refusing := &refuser{endpoint: e}
		e.behavior = refusing
		defer func() { require.Zero(t, refusing.asked.Load(), "the switch was asked") }()
		stops = append(stops, e.serve(t, e.run))
	}
	for _, ends := range [][2]*endpoint{{a, b}, {b, a}} {
		peer, err := ends[0].dial(t.Context(), ends[1].tr.NetAddress())
		requireNoPeer(t, peer, err)
		require.NotEqual(t, compat.DialBusy, compat.ClassifyDial(err), err)
	}
	for i, e := range []*endpoint{a, b} {
		require.NoError(t, e.shut()) // waits for pending handshakes
		stops[i]()
		require.Empty(t, e.allPeers())
	}
}
