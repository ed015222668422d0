package compattest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A journal forgets dials that came to nothing, and keeps what is older, what is about others, and the
// whole of the last connection.
func TestJournalForgetsFormerDials(t *testing.T) {
	const peer, other = types.ID("peer"), types.ID("other")
	about := func(id types.ID, by string, w what) entry { return entry{id: id, by: by, what: w} }
	late := entry{id: peer, what: failed, reason: context.DeadlineExceeded}
	older := []entry{{by: "first", what: switchSet}, about(peer, "first", initPeer), late}
	last := []entry{about(peer, "first", initPeer), about(peer, "second", initPeer), about(peer, "", connected)}
	j := &journal{entries: append(append(older[:3:3],
		late, about(peer, "first", initPeer), about(other, "", connected), about(peer, "first", removed)), last...)}
	require.Equal(t, 1, j.forget(peer, len(older)))
	require.Equal(t, append(append(older[:3:3], about(other, "", connected)), last...), j.entries)
}
