package dropin

import (
	"errors"
	"fmt"
	"time"

	gnoservice "github.com/gnolang/gno/tm2/pkg/service"

	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
	"github.com/tm2-libp2p/tm2-libp2p/internal/task"
)

// closeTimeout is how long Stop waits for the transport. The Close of a transport waits for
// running callbacks of reactors, one of which may have called Stop.
const closeTimeout = 10 * time.Second

var errCloseTimeout = fmt.Errorf("transport is not closed after %s", closeTimeout)

// Start implements gno's service.Service. It listens, starts the reactors, accepts peers and
// dials. When a reactor fails to start, those before it are stopped again; the switch still
// listens, and the caller calls Start again or Close. When Stop or Close is called
// meanwhile, Start returns ErrAlreadyStopped and no reactor runs.
func (s *Switch) Start() error {
	s.starting.Lock()
	defer s.starting.Unlock()
	if s.closed {
		return gnoservice.ErrAlreadyStopped
	}

	return serviceError(s.BaseService.Start())
}

// OnStart implements gno's service.Service for Start.
func (s *Switch) OnStart() error {
	err := s.Listen()
	if err == nil {
		err = s.mux.Start()
	}
	if s.IsRunning() {
		return err
	}
	// Stop was called while the reactors were started, and has missed the later ones.
	if err := s.mux.Stop(); errors.Is(err, service.ErrAlreadyStopped) {
		s.mux.OnStop()
	}

	return service.ErrAlreadyStopped
}

// Stop implements gno's service.Service. It waits at most 10 s for the peers, then stops
// the reactors, and waits at most 10 s for the transport to close. A call from within a
// reactor's callback about a peer waits for itself and so takes all of that time; what is
// still running then ends when the callback returns. On a switch that was never started,
// Stop returns ErrNotStarted and does nothing; use Close.
func (s *Switch) Stop() error { return serviceError(s.BaseService.Stop()) }

// Close ends the switch in any state. It is Stop for a switch that is running or starting.
// A switch that was not started, or failed to start, releases its resources and cannot be
// started any more. Further calls return nil at once, even while the first one runs, since
// a reactor may call Close while it is stopped. Quit is closed when a switch has stopped.
func (s *Switch) Close() error {
	for {
		err := s.BaseService.Stop()
		switch {
		case errors.Is(err, service.ErrAlreadyStopped):
			return nil // another call stopped it
		case !errors.Is(err, service.ErrNotStarted):
			return serviceError(err)
		}
		if started, first := s.neverStart(); !started {
			if first {
				return s.closeTransport()
			}

			return nil
		}
	}
}

// neverStart makes later calls of Start fail. first reports whether this is the first such
// call. started reports that the switch is running, so that nothing was done.
func (s *Switch) neverStart() (started, first bool) {
	s.starting.Lock()
	defer s.starting.Unlock()
	if s.IsRunning() {
		return true, false
	}
	first = !s.closed
	s.closed = true

	return false, first
}

// OnStop implements gno's service.Service for Stop.
func (s *Switch) OnStop() {
	// If Start has not started mux yet, OnStart notices the stop.
	if err := s.mux.Stop(); err != nil && !errors.Is(err, service.ErrNotStarted) {
		s.Logger.Error("cannot stop the switch", "err", err)
	}
	if err := s.closeTransport(); err != nil {
		s.Logger.Error("cannot close the transport", "err", err)
	}
}

// closeTransport closes the transport, if the switch owns it, and waits at most
// closeTimeout. The goroutine ends when Close of the transport returns.
func (s *Switch) closeTransport() error {
	if s.own == nil {
		return nil
	}
	var err error
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		err = s.own.Close()
	}()
	if !task.WaitFor(closed, closeTimeout) {
		return errCloseTimeout
	}

	return err
}

// Reset implements gno's service.Service. It returns an error, since a switch can be started
// only once.
func (s *Switch) Reset() error { return serviceError(s.BaseService.Reset()) }
