package compattest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// endPromises cover what the two ends of a connection report about each other.
func (s transportSuite) endPromises() []promiseCase {
	return []promiseCase{
		{"NetAddress", s.netAddress},
		{"Ends/ID", s.endsID},
		{"Ends/Direction", s.endsDirection},
		{"Ends/NodeInfo", s.endsNodeInfo},
		{"Ends/SocketAddr", s.endsSocketAddr},
		{"Ends/RemoteAddr", s.endsRemoteAddr},
		{"Ends/Flags", s.endsFlags},
		{"Ends/NotStarted", s.endsNotStarted},
		{"Ends/SamePointer", s.endsSamePointer},
	}
}

func (s transportSuite) netAddress(t *testing.T) {
	a, b := s.endpoints(t, nil)
	for _, e := range []*endpoint{a, b} {
		addr := e.tr.NetAddress()
		require.NoError(t, addr.Validate(), "it can be dialed")
		require.Equal(t, e.id(), addr.ID)
		require.True(t, addr.IP.Equal(e.spec.Info.NetAddress.IP), "IP %s", addr.IP)
		require.NotZero(t, addr.Port)
		again := e.tr.NetAddress()
		require.True(t, addr.Equals(again))
	}
	require.NotEqual(t, a.tr.NetAddress().Port, b.tr.NetAddress().Port)
}

func (s transportSuite) endsID(t *testing.T) {
	l := s.connected(t)
	require.Equal(t, l.b.id(), l.out.ID())
	require.Equal(t, l.a.id(), l.in.ID())
}

func (s transportSuite) endsDirection(t *testing.T) {
	l := s.connected(t)
	require.True(t, l.out.IsOutbound())
	require.False(t, l.in.IsOutbound())
}

func (s transportSuite) endsNodeInfo(t *testing.T) {
	l := s.connected(t)
	for _, dir := range []*link{l, l.turned()} {
		want, got := dir.b.spec.Info, dir.out.NodeInfo()
		require.NotNil(t, got.NetAddress)
		require.Equal(t, want.ID(), got.ID())
		require.True(t, want.NetAddress.IP.Equal(got.NetAddress.IP), "IP %s", got.NetAddress.IP)
		require.Equal(t, want.VersionSet, got.VersionSet)
		require.Equal(t, want.Network, got.Network)
		require.Equal(t, want.Version, got.Version)
		require.Equal(t, want.Channels, got.Channels)
		require.Equal(t, want.Moniker, got.Moniker)
		require.Equal(t, want.Other, got.Other)
	}
}

func (s transportSuite) endsSocketAddr(t *testing.T) {
	l := s.connected(t)
	dialed := l.b.tr.NetAddress()
	require.NotNil(t, l.out.SocketAddr())
	require.Equal(t, dialed.String(), l.out.SocketAddr().String(), "the address that was dialed")

	source := l.in.SocketAddr()
	require.NotNil(t, source)
	require.Equal(t, l.a.id(), source.ID)
	require.True(t, source.IP.Equal(l.a.spec.Info.NetAddress.IP), "IP %s", source.IP)
	require.NotZero(t, source.Port)
	require.NotEqual(t, l.a.tr.NetAddress().Port, source.Port, "the address of the connection, not of the listener")
}

func (s transportSuite) endsRemoteAddr(t *testing.T) {
	l := s.connected(t)
	for _, dir := range []*link{l, l.turned()} {
		require.NotNil(t, dir.out.RemoteAddr())
		require.Equal(t, dir.out.SocketAddr().DialString(), dir.out.RemoteAddr().String())
		if ip := dir.out.RemoteIP(); ip != nil {
			require.True(t, ip.Equal(dir.b.spec.Info.NetAddress.IP), "IP %s", ip)
		}
	}
}

func (s transportSuite) endsFlags(t *testing.T) {
	a, b := s.endpoints(t, nil)
	a.persistent, b.private = true, true
	l := connectEnds(t, a, b)
	require.True(t, l.out.IsPersistent())
	require.False(t, l.out.IsPrivate())
	require.False(t, l.in.IsPersistent())
	require.True(t, l.in.IsPrivate())
}

// No message is delivered before Start, since a switch prepares a peer before it starts it.
func (s transportSuite) endsNotStarted(t *testing.T) {
	l := s.connected(t)
	require.False(t, l.out.IsRunning())
	require.False(t, l.in.IsRunning())
	select {
	case <-l.in.Quit():
		require.Fail(t, "a peer that was never started has quit")
	default:
	}

	l.a.start(t, l.out)
	msgs := noises(3, 100)
	for _, msg := range msgs {
		require.True(t, l.out.Send(ChannelA, msg))
	}
	require.Zero(t, l.b.count(l.in, ChannelA))
	l.b.start(t, l.in)
	require.Equal(t, msgs, l.b.awaitCount(t, l.in, ChannelA, len(msgs)))
}

// A connection has one PeerConn, which reactors use as a key.
func (s transportSuite) endsSamePointer(t *testing.T) {
	l := s.running(t)
	l.works(t) // counts received messages by pointer
	require.NoError(t, l.out.Stop())
	l.b.awaitFailure(t, l.in) // finds its peer by pointer
}
