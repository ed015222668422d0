package dual

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Between two dual nodes, a dialer that listens as long as it may is still the first to
// speak, also when its first packet is sent again after a second (RFC 6298).
func TestDialerSpeaksBeforeTheListener(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, lp2p.SniffTimeout, 2*maxQuiet)
}

// A peer that was reached on libp2p is listened to again before it is spoken to when that
// was long ago.
func TestStackIsRememberedForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addr := types.NetAddress{ID: types.GenerateNodeKey().ID(), IP: net.IPv4(5, 6, 7, 8), Port: 26656}
		book, err := addrbook.Open("", types.NetAddress{ID: types.GenerateNodeKey().ID()})
		require.NoError(t, err)
		tr := &Transport{book: book}
		require.False(t, tr.lastOnLibp2p(addr.ID))
		book.MarkAnswered(&addr, types.StackLibp2p)
		time.Sleep(stackLife - time.Second)
		require.True(t, tr.lastOnLibp2p(addr.ID))
		time.Sleep(time.Second)
		require.False(t, tr.lastOnLibp2p(addr.ID))
		book.MarkAnswered(&addr, types.StackNative)
		require.False(t, tr.lastOnLibp2p(addr.ID))
	})
}
