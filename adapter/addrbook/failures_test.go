package addrbook

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

func TestFailuresAreForgotten(t *testing.T) {
	now := time.Unix(1, 0)
	f := newFailures(now)
	addr := types.NewNetAddressFromIPPort(net.IPv4(9, 9, 9, 9), 1)
	for range maxAddressFailures {
		require.False(t, f.tooMany(addr, now))
		f.note(addr, now)
	}
	require.True(t, f.tooMany(addr, now))
	require.True(t, f.tooMany(addr, now.Add(failureMemory)), "the older half")
	require.False(t, f.tooMany(addr, now.Add(2*failureMemory)))

	f.note(addr, now.Add(2*failureMemory))
	require.Equal(t, 1, f.count(addr.DialString()))
	require.False(t, f.tooMany(addr, now.Add(10*failureMemory)))
	require.Zero(t, f.count(addr.DialString()), "both halves are too old")
}

func TestFailuresAreBounded(t *testing.T) {
	now := time.Unix(1, 0)
	f := newFailures(now)
	for i := range 3 * maxRemembered {
		f.note(types.NewNetAddressFromIPPort(net.IPv4(9, byte(i>>16), byte(i>>8), byte(i)), 1), now)
		require.LessOrEqual(t, len(f.current)+len(f.former), maxRemembered+2)
	}
}
