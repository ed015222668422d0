package native

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// FuzzNodeInfoExchange plays a remote that authenticates honestly, in either form,
// and then sends data where its NodeInfo belongs, in frames of the given size,
// some of them after a pause. The transport has either role.
func FuzzNodeInfoExchange(f *testing.F) {
	key := fixedKeys[1]
	for _, dialect := range dialects {
		body, err := encodeNodeInfo(nodeInfo(key.ID(), "net"), dialect)
		require.NoError(f, err)
		sized := wire.AppendSized(nil, body)
		for _, typed := range []bool{false, true} {
			f.Add(sized, typed, true, uint16(1024), uint16(0))
			f.Add(sized, typed, false, uint16(1), uint16(400))
			f.Add(sized[:len(sized)-1], typed, true, uint16(50), uint16(0))
			f.Add(append(bytes.Clone(sized), 0, 0), typed, true, uint16(7), uint16(1))
		}
	}
	f.Add([]byte{0}, true, true, uint16(1), uint16(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f}, false, true, uint16(1), uint16(0))
	f.Add([]byte{0xfe, 0x4f}, true, false, uint16(2), uint16(0))

	f.Fuzz(func(t *testing.T, data []byte, typed, outbound bool, size, pause uint16) {
		if len(data) > 2*types.MaxNodeInfoSize {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			playNodeInfo(t, data, typed, outbound, int(size), time.Duration(pause%4096)*time.Millisecond)
		})
	})
}

func playNodeInfo(t *testing.T, data []byte, typed, outbound bool, size int, pause time.Duration) {
	t.Helper()
	near, far := newLink(addrA, addrB)
	under := newEnd(t, 0, near)
	p := newRawPeer(t, far, fixedKeys[1].PrivKey)
	var dialed *types.NetAddress
	if outbound {
		dialed = &types.NetAddress{ID: p.id(), IP: addrB.IP, Port: uint16(addrB.Port)}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		under.peer, under.err = establish(t, under.mt, near, dialed, under.b)
	}()

	form := wire.AuthPlain
	if typed {
		form = wire.AuthTyped
	}
	p.authenticate(form)
	authenticated := time.Now()
	<-time.After(pause)
	size = min(max(size, 1), chunkSize)
	for rest := data; len(rest) > 0; rest = rest[min(size, len(rest)):] {
		p.chunks(rest[:min(size, len(rest))])
	}
	require.NoError(t, far.CloseWrite())
	<-done
	require.LessOrEqual(t, time.Since(authenticated), max(pause, HandshakeTimeout))

	if under.err == nil {
		requireHonest(t, under.peer, p.id(), typed)
	} else {
		require.Nil(t, under.peer)
	}
	require.NoError(t, under.mt.Close())
	require.True(t, near.closed())
}

// requireHonest checks what a transport promises of its peers.
func requireHonest(t *testing.T, peer compat.PeerConn, id types.ID, typed bool) {
	t.Helper()
	info := peer.NodeInfo()
	require.NoError(t, info.Validate())
	require.Equal(t, id, info.ID())
	require.Equal(t, id, peer.ID())
	require.NoError(t, nodeInfo(id, "net").CompatibleWith(info))
	require.Equal(t, typed, peer.(compat.DialectReporter).Dialect() != compat.DialectC)
	require.NoError(t, peer.CloseConn())
}
