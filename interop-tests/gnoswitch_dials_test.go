package interoptests

import (
	"context"
	"errors"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// patientDials is a transport whose dials may take dialPatience. gno's switch gives a dial 3 s,
// dials once, and tells nobody when the dial fails. On a busy machine a handshake can take
// longer, and the suites would wait for its peer for ever. gno's own transport gives a handshake
// 3 s as well, so that a dial that has taken too long is repeated.
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

	for {
		peer, err := t.Transport.Dial(patient, addr, behavior)
		if err == nil || patient.Err() != nil || compat.ClassifyDial(err) != compat.DialTimedOut {
			return peer, err
		}
	}
}
