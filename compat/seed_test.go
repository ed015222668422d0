package compat_test

import (
	"context"
	"log/slog"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// The index of TM2's package p2p of January 2025, in its order. What differs from it
// does not compile. Interfaces are compared in both directions, so that they have
// neither fewer methods nor more.
type (
	seedPeerBehavior interface {
		ReactorChDescriptors() []*compat.ChannelDescriptor
		Reactors() map[byte]compat.Reactor
		HandlePeerError(compat.PeerConn, error)
		IsPersistentPeer(types.ID) bool
		IsPrivatePeer(types.ID) bool
	}
	seedPeerConn interface {
		service.Service
		FlushStop()
		ID() types.ID
		RemoteIP() net.IP
		RemoteAddr() net.Addr
		IsOutbound() bool
		IsPersistent() bool
		IsPrivate() bool
		CloseConn() error
		NodeInfo() types.NodeInfo
		Status() compat.ConnectionStatus
		SocketAddr() *types.NetAddress
		Send(byte, []byte) bool
		TrySend(byte, []byte) bool
		Set(string, any)
		Get(string) any
	}
	seedPeerSet interface {
		Add(compat.PeerConn)
		Remove(types.ID) bool
		Has(types.ID) bool
		Get(types.ID) compat.PeerConn
		List() []compat.PeerConn
		NumInbound() uint64
		NumOutbound() uint64
	}
	seedReactor interface {
		service.Service
		SetSwitch(compat.Switch)
		GetChannels() []*compat.ChannelDescriptor
		InitPeer(compat.PeerConn) compat.PeerConn
		AddPeer(compat.PeerConn)
		RemovePeer(compat.PeerConn, any)
		Receive(byte, compat.PeerConn, []byte)
	}
	seedSwitch interface {
		Broadcast(byte, []byte)
		Peers() compat.PeerSet
		Subscribe(events.EventFilter) (<-chan events.Event, func())
		StopPeerForError(compat.PeerConn, error)
		DialPeers(...*types.NetAddress)
	}
	seedTransport interface {
		NetAddress() types.NetAddress
		Accept(context.Context, compat.PeerBehavior) (compat.PeerConn, error)
		Dial(context.Context, types.NetAddress, compat.PeerBehavior) (compat.PeerConn, error)
		Remove(compat.PeerConn)
	}
)

var (
	_ = compat.BaseReactor{BaseService: service.BaseService{}, Switch: compat.Switch(nil)}

	_ func(string, compat.Reactor) *compat.BaseReactor                 = compat.NewBaseReactor
	_ func(*compat.BaseReactor, compat.PeerConn)                       = (*compat.BaseReactor).AddPeer
	_ func(*compat.BaseReactor) []*compat.ChannelDescriptor            = (*compat.BaseReactor).GetChannels
	_ func(*compat.BaseReactor, compat.PeerConn) compat.PeerConn       = (*compat.BaseReactor).InitPeer
	_ func(*compat.BaseReactor, byte, compat.PeerConn, []byte)         = (*compat.BaseReactor).Receive
	_ func(*compat.BaseReactor, compat.PeerConn, any)                  = (*compat.BaseReactor).RemovePeer
	_ func(*compat.BaseReactor, compat.Switch)                         = (*compat.BaseReactor).SetSwitch
	_ func(compat.Transport, ...adapter.SwitchOption) *multiplexSwitch = adapter.NewMultiplexSwitch
	_ func(*multiplexSwitch, byte, []byte)                             = (*multiplexSwitch).Broadcast
	_ func(*multiplexSwitch, ...*types.NetAddress)                     = (*multiplexSwitch).DialPeers
	_ func(*multiplexSwitch) error                                     = (*multiplexSwitch).OnStart
	_ func(*multiplexSwitch)                                           = (*multiplexSwitch).OnStop
	_ func(*multiplexSwitch) compat.PeerSet                            = (*multiplexSwitch).Peers
	_ func(*multiplexSwitch, compat.PeerConn, error)                   = (*multiplexSwitch).StopPeerForError
	_ func(*multiplexSwitch, events.EventFilter) (<-chan events.Event,
		func()) = (*multiplexSwitch).Subscribe

	_ func(types.NodeInfo, types.NodeKey, mconn.MConnConfig, *slog.Logger) *multiplexTransport = newMultiplexTransport

	_ func(*multiplexTransport, context.Context, compat.PeerBehavior) (compat.PeerConn,
		error) = (*multiplexTransport).Accept
	_ func(*multiplexTransport) error = (*multiplexTransport).Close
	_ func(*multiplexTransport, context.Context, types.NetAddress, compat.PeerBehavior) (compat.PeerConn,
		error) = (*multiplexTransport).Dial
	_ func(*multiplexTransport, types.NetAddress) error = (*multiplexTransport).Listen
	_ func(*multiplexTransport) types.NetAddress        = (*multiplexTransport).NetAddress
	_ func(*multiplexTransport, compat.PeerConn)        = (*multiplexTransport).Remove
	_ compat.PeerBehavior                               = seedPeerBehavior(nil)
	_ seedPeerBehavior                                  = compat.PeerBehavior(nil)
	_ compat.PeerConn                                   = seedPeerConn(nil)
	_ seedPeerConn                                      = compat.PeerConn(nil)
	_ compat.PeerSet                                    = seedPeerSet(nil)
	_ seedPeerSet                                       = compat.PeerSet(nil)
	_ compat.Reactor                                    = seedReactor(nil)
	_ seedReactor                                       = compat.Reactor(nil)
	_ compat.Switch                                     = seedSwitch(nil)
	_ seedSwitch                                        = compat.Switch(nil)
	_ func(*adapter.MultiplexSwitch)                    = adapter.SwitchOption(nil)
	_ func(uint64) adapter.SwitchOption                 = adapter.WithMaxInboundPeers
	_ func(uint64) adapter.SwitchOption                 = adapter.WithMaxOutboundPeers
	_ func([]*types.NetAddress) adapter.SwitchOption    = adapter.WithPersistentPeers
	_ func([]types.ID) adapter.SwitchOption             = adapter.WithPrivatePeers
	_ func(string, compat.Reactor) adapter.SwitchOption = adapter.WithReactor
	_ compat.Transport                                  = seedTransport(nil)
	_ seedTransport                                     = compat.Transport(nil)
)

type (
	multiplexSwitch    = adapter.MultiplexSwitch
	multiplexTransport = native.MultiplexTransport
)

// newMultiplexTransport is a call as TM2 code has it: ours takes options beside.
func newMultiplexTransport(
	info types.NodeInfo, key types.NodeKey, config mconn.MConnConfig, logger *slog.Logger,
) *multiplexTransport {
	return native.NewMultiplexTransport(info, key, config, logger)
}

// The structs of the index begin with TM2's fields, in its order.
func TestSeedStructs(t *testing.T) {
	type fields []reflect.StructField
	field := func(name string, of any) reflect.StructField {
		return reflect.StructField{Name: name, Type: reflect.TypeOf(of).Elem()}
	}
	for _, c := range []struct {
		ours any
		want fields
	}{
		{native.ConnConfig{}, fields{
			field("MConfig", new(mconn.MConnConfig)), field("ReactorsByCh", new(map[byte]compat.Reactor)),
			field("ChDescs", new([]*compat.ChannelDescriptor)), field("OnPeerError", new(func(compat.PeerConn, error))),
		}},
		{compat.ConnInfo{}, fields{
			field("Outbound", new(bool)), field("Persistent", new(bool)), field("Private", new(bool)),
			field("Conn", new(net.Conn)), field("RemoteIP", new(net.IP)), field("SocketAddr", new(*types.NetAddress)),
		}},
		{compat.BaseReactor{}, fields{
			field("BaseService", new(service.BaseService)), field("Switch", new(compat.Switch)),
		}},
		{adapter.MultiplexSwitch{}, fields{field("BaseService", new(service.BaseService))}},
		{compat.ChannelDescriptor{}, fields{
			field("ID", new(byte)), field("Priority", new(int)), field("SendQueueCapacity", new(int)),
			field("RecvBufferCapacity", new(int)), field("RecvMessageCapacity", new(int)),
		}},
		{compat.ConnectionStatus{}, fields{field("Duration", new(time.Duration))}},
	} {
		ours := reflect.TypeOf(c.ours)
		for i, want := range c.want {
			require.Equal(t, want.Name, ours.Field(i).Name, ours)
			require.Equal(t, want.Type, ours.Field(i).Type, "%s.%s", ours, want.Name)
		}
	}
}
