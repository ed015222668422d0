package adapter

import (
	"context"
	"errors"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

const (
	// maxAdmissions is how many accepted connections are admitted at once. An admission
	// waits at most ghostWait for the end of a ghost and formerTimeout for a removal, and
	// runs the reactors' callbacks. Further connections wait in the transport.
	maxAdmissions = 32

	// The wait after an error of Accept, doubled up to the maximum.
	minAcceptBackoff = 10 * time.Millisecond
	maxAcceptBackoff = time.Second
)

var errNoPeer = errors.New("transport returned no peer")

// acceptLoop takes inbound peers until the context ends or the transport is closed. Each
// is admitted on a goroutine of its own.
func (sw *MultiplexSwitch) acceptLoop(ctx context.Context) {
	places := make(chan struct{}, maxAdmissions)
	for backoff := minAcceptBackoff; ; {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return
		}
		conn, err := sw.transport.Accept(ctx, sw.behavior)
		if err == nil && conn == nil {
			err = errNoPeer
		}
		if err == nil {
			backoff = minAcceptBackoff
			admitted := sw.tasks.Go(func() {
				defer func() { <-places }()
				sw.admit(ctx, conn)
			})
			if !admitted {
				<-places
				sw.refuse(conn, errStopping)
			}

			continue
		}
		<-places
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, compat.ErrTransportClosed) {
			sw.Logger.Warn("transport is closed, no longer accepting peers")

			return
		}
		sw.Logger.Error("cannot accept a peer", "err", err, "retry", backoff)
		if !task.Sleep(ctx, backoff) {
			return
		}
		backoff = min(2*backoff, maxAcceptBackoff)
	}
}
