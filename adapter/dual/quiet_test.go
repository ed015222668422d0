package dual

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
)

// Between two dual nodes, a dialer that listens as long as it may is still the first to
// speak, also when its first packet is sent again after a second (RFC 6298).
func TestDialerSpeaksBeforeTheListener(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, lp2p.SniffTimeout, 2*maxQuiet)
}
