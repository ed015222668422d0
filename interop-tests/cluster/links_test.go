package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// TestBadLinksAreSeen checks that Links detects a connection on the wrong stack, and one that
// is missing.
func TestBadLinksAreSeen(t *testing.T) {
	besideOthers(t)
	topology := Of(Native(), 2)
	topology.BothDial = true
	r := start(t, newNetwork(t, nil), topology)
	a, b := r.Members()[0], r.Members()[1]
	var links []Link
	r.await(t, func() (err error) {
		links, err = Links(a, b)

		return err
	})
	require.Len(t, links, 1)
	require.Equal(t, types.StackNative, links[0].Stack)
	require.Contains(t, Describe(links), "1 native (")

	b.SetStack(Libp2p())
	// A late dial of the other end may replace the connection meanwhile.
	r.await(t, func() error {
		_, err := Links(a, b)
		switch {
		case err == nil:
			return errors.New("the links are taken for right")
		case !strings.Contains(err.Error(), "are connected over native"):
			return fmt.Errorf("Links returns another error: %w", err)
		}

		return nil
	})
	require.NoError(t, b.Stop())
	_, err := Links(a, b)
	require.ErrorContains(t, err, "are not connected")
	r.stop(t)
}
