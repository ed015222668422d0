package dropin

import (
	"errors"
	"fmt"
	"time"

	gnoservice "github.com/gnolang/gno/tm2/pkg/service"

	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// closeTimeout bounds how long Stop waits for the transport, whose Close waits for
// a callback of a reactor that runs: Stop may be called from it.
const closeTimeout = 10 * time.Second

var errCloseTimeout = fmt.Errorf("transport is not closed after %s", closeTimeout)

// Start implements gno's service.Service: it listens, starts the reactors, lets peers
// in and dials. When a reactor does not start, those before it are stopped again; the
// switch still listens, and may be started again or is to be closed. It returns
// ErrAlreadyStopped when Stop or Close comes before it has ended, and then no reactor
// runs.
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
	// Stop came while the reactors were being started, and has missed the later ones.
	if err := s.mux.Stop(); errors.Is(err, service.ErrAlreadyStopped) {
		s.mux.OnStop()
	}

	return service.ErrAlreadyStopped
}

// Stop implements gno's service.Service: it stops the peers and then the reactors,
// within 10 s and the time that the reactors take, and closes the transport, which
// takes 10 s at most. A call from within a callback of a reactor about a peer takes
// all of that time, for it waits for itself; what it could not wait for ends with the
// callback. A switch that was never started is left as it is, with ErrNotStarted:
// see Close.
func (s *Switch) Stop() error { return serviceError(s.BaseService.Stop()) }

// Close ends the switch in whatever state it is: it is Stop for one that runs or is
// being started, and releases what one holds that was never started or did not start,
// which then is not started any more. Further calls return nil at once, also while
// the first one runs, since a reactor may call it when it is stopped: Quit tells when
// a switch has stopped.
func (s *Switch) Close() error {
	for {
		err := s.BaseService.Stop()
		switch {
		case errors.Is(err, service.ErrAlreadyStopped):
			return nil // by another call, of Stop or of Close
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

// neverStart sees to it that a switch that is not started is not started any more,
// and reports whether it is the first call that does. Started says that a Start came
// first.
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
	// A Start that is just beginning finds out itself.
	if err := s.mux.Stop(); err != nil && !errors.Is(err, service.ErrNotStarted) {
		s.Logger.Error("cannot stop the switch", "err", err)
	}
	if err := s.closeTransport(); err != nil {
		s.Logger.Error("cannot close the transport", "err", err)
	}
}

// closeTransport waits for the transport to end, if it is the switch's own. The
// goroutine lives on only if that takes too long.
func (s *Switch) closeTransport() error {
	if s.own == nil {
		return nil
	}
	closed := make(chan error, 1)
	go func() { closed <- s.own.Close() }()
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return errCloseTimeout
	}
}

// Reset implements gno's service.Service: a switch cannot be started again.
func (s *Switch) Reset() error { return serviceError(s.BaseService.Reset()) }
