package interoptests

import (
	"context"
	"errors"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
)

// patientDials is a transport whose dials may take dialPatience. gno's switch gives a dial 3 s,
// dials once, and tells nobody when the dial fails. On a busy machine a handshake can take
// longer, and the suites would wait for its peer for ever.
type patientDials struct{ p2p.Transport }

const dialPatience = 20 * time.Second

// Dial implements p2p.Transport. It ends when ctx is canceled, but not at its deadline.
func (t patientDials) Dial(
	ctx context.Context, addr gnotypes.NetAddress, behavior p2p.PeerBehavior,
) (p2p.PeerConn, error) {
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialPatience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) {
			cancel()
		}
	})
	defer stop()

	return t.Transport.Dial(patient, addr, behavior)
}
