package compat

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

func TestFillDefaults(t *testing.T) {
	require.Equal(t, ChannelDescriptor{
		ID: 1, Priority: 2,
		SendQueueCapacity:   DefaultSendQueueCapacity,
		RecvBufferCapacity:  DefaultRecvBufferCapacity,
		RecvMessageCapacity: DefaultRecvMessageCapacity,
	}, ChannelDescriptor{ID: 1, Priority: 2}.FillDefaults())
	full := ChannelDescriptor{ID: 1, Priority: 2, SendQueueCapacity: 3, RecvBufferCapacity: 4, RecvMessageCapacity: 5}
	require.Equal(t, full, full.FillDefaults())
}

func TestValidateNamesTheField(t *testing.T) {
	require.NoError(t, ChannelDescriptor{Priority: 1}.Validate(), "zero capacities are defaults")
	require.NoError(t, ChannelDescriptor{Priority: 1, RecvMessageCapacity: maxRecvMessageCapacity}.Validate())
	for field, d := range map[string]ChannelDescriptor{
		"Priority 0":          {ID: 0x20},
		"Priority -1":         {ID: 0x20, Priority: -1},
		"SendQueueCapacity":   {ID: 0x20, Priority: 1, SendQueueCapacity: -1},
		"RecvBufferCapacity":  {ID: 0x20, Priority: 1, RecvBufferCapacity: -1},
		"RecvMessageCapacity": {ID: 0x20, Priority: 1, RecvMessageCapacity: -1},
		"outside":             {ID: 0x20, Priority: 1, RecvMessageCapacity: maxRecvMessageCapacity + 1},
	} {
		err := d.Validate()
		require.ErrorIs(t, err, ErrInvalidChannel)
		require.ErrorContains(t, err, field)
		require.ErrorContains(t, err, "0x20")
	}
}

// The numbers of the reject codes are part of a protocol.
func TestRejectCodes(t *testing.T) {
	for code, want := range map[RejectCode]string{
		0: "unspecified", 1: "full", 2: "incompatible", 3: "duplicate", 4: "banned", 5: "self",
		6: "invalid", 7: "identity", 8: "unavailable", 9: "closing", 10: "code 10", 255: "code 255",
	} {
		require.Equal(t, want, code.String())
	}
	require.EqualValues(t, 3, RejectDuplicate)
	require.EqualValues(t, 9, RejectClosing)
}

func TestRejectError(t *testing.T) {
	err := Reject(RejectFull, "%d of %d slots", 40, 40)
	require.Equal(t, "rejected: full: 40 of 40 slots", err.Error())
	require.False(t, err.Remote)
	require.Equal(t, "rejected: self", Reject(RejectSelf, "").Error())
	require.Equal(t, "rejected by the peer: banned", (&RejectError{Code: RejectBanned, Remote: true}).Error())

	var found *RejectError
	require.True(t, errors.As(fmt.Errorf("dial: %w", err), &found))
	require.Same(t, err, found)
}

// listener is a reactor with callbacks of its own.
type listener struct {
	BaseReactor
	started, stopped int
}

func (l *listener) OnStart() error { l.started++; return nil }
func (l *listener) OnStop()        { l.stopped++ }

// anyPeer stands for a peer where nothing is asked of it.
type anyPeer struct{ PeerConn }

type anySwitch struct{ Switch }

func TestBaseReactor(t *testing.T) {
	l := &listener{}
	l.BaseReactor = *NewBaseReactor("listener", l)
	var r Reactor = l
	sw := &anySwitch{}
	r.SetSwitch(sw)
	require.Same(t, sw, l.Switch)
	require.Empty(t, r.GetChannels())
	peer := &anyPeer{}
	require.Same(t, peer, r.InitPeer(peer))
	r.AddPeer(peer)
	r.Receive(0, peer, []byte{1})
	r.RemovePeer(peer, nil)

	require.NoError(t, r.Start())
	require.ErrorIs(t, r.Start(), service.ErrAlreadyStarted)
	require.NoError(t, r.Stop())
	require.Equal(t, 1, l.started, "OnStart is the reactor's own")
	require.Equal(t, 1, l.stopped)
	require.Equal(t, "listener", r.String())
}
