// Package service gives long-living parts one way to start and stop, under the
// names TM2 uses: Service and BaseService.
package service

import (
	"errors"
	"log/slog"
	"sync"
)

// The outcomes of Start, Stop and Reset that a caller may want to tell apart.
var (
	// ErrAlreadyStarted is returned by Start on a running service, and by Reset
	// on one that runs or has not finished stopping.
	ErrAlreadyStarted = errors.New("already started")
	// ErrAlreadyStopped is returned by Start and Stop on a stopped service.
	ErrAlreadyStopped = errors.New("already stopped")
	// ErrNotStarted is returned by Stop and Reset on a service that was never
	// started.
	ErrNotStarted = errors.New("not started")
	// ErrNoReset is returned by Reset where the service cannot be reset.
	ErrNoReset = errors.New("service cannot be reset")
)

// Service is started once and stopped once. All methods may be called
// concurrently.
type Service interface {
	// Start runs OnStart. When that fails the service is as before and Start
	// may be called again. It returns ErrAlreadyStarted or ErrAlreadyStopped
	// where the service is past starting.
	Start() error
	// OnStart is the service's own part of Start.
	OnStart() error

	// Stop ends the service: IsRunning turns false, OnStop runs, Quit closes.
	// Only the first call does it; later ones return ErrAlreadyStopped at once,
	// and a call before Start returns ErrNotStarted.
	Stop() error
	// OnStop is the service's own part of Stop.
	OnStop()

	// Reset makes a stopped service startable again, where OnReset allows it.
	Reset() error
	// OnReset is the service's own part of Reset.
	OnReset() error

	// IsRunning reports whether the service was started and not yet stopped.
	IsRunning() bool
	// Quit is closed when the service has stopped.
	Quit() <-chan struct{}
	// String is the service's name.
	String() string
	// SetLogger sets the logger. It must be called before Start.
	SetLogger(logger *slog.Logger)
}

type phase uint8

const (
	idle phase = iota
	running
	stopped
)

// state is shared by all copies of a BaseService, so that it may be embedded by
// value as TM2 code does: x.BaseService = *NewBaseService(...).
type state struct {
	resetting sync.Mutex // held by Reset; taken before mtx

	mtx   sync.Mutex
	phase phase
	quit  chan struct{}
}

// BaseService implements Service; a service embeds it and overrides OnStart and
// OnStop.
type BaseService struct {
	// Logger is never nil after NewBaseService.
	Logger *slog.Logger

	name  string
	impl  Service
	state *state
}

// NewBaseService returns a BaseService that calls impl's OnStart, OnStop and
// OnReset. A nil logger discards.
func NewBaseService(logger *slog.Logger, name string, impl Service) *BaseService {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}

	return &BaseService{Logger: logger, name: name, impl: impl, state: &state{quit: make(chan struct{})}}
}

// SetLogger implements Service.
func (bs *BaseService) SetLogger(logger *slog.Logger) { bs.Logger = logger }

// Start implements Service. IsRunning is true before OnStart begins, as in TM2:
// what OnStart starts may ask for it.
func (bs *BaseService) Start() error {
	if err := bs.begin(); err != nil {
		return err
	}
	if err := bs.impl.OnStart(); err != nil {
		bs.state.mtx.Lock()
		defer bs.state.mtx.Unlock()
		if bs.state.phase == running {
			bs.state.phase = idle
		}

		return err
	}

	return nil
}

func (bs *BaseService) begin() error {
	bs.state.mtx.Lock()
	defer bs.state.mtx.Unlock()
	switch bs.state.phase {
	case running:
		return ErrAlreadyStarted
	case stopped:
		return ErrAlreadyStopped
	}
	bs.state.phase = running

	return nil
}

// OnStart implements Service by doing nothing.
func (*BaseService) OnStart() error { return nil }

// Stop implements Service.
func (bs *BaseService) Stop() error {
	bs.state.mtx.Lock()
	switch bs.state.phase {
	case stopped:
		bs.state.mtx.Unlock()
		return ErrAlreadyStopped
	case idle:
		bs.state.mtx.Unlock()
		return ErrNotStarted
	}
	bs.state.phase = stopped
	quit := bs.state.quit
	bs.state.mtx.Unlock()

	bs.impl.OnStop()
	close(quit)

	return nil
}

// OnStop implements Service by doing nothing.
func (*BaseService) OnStop() {}

// Reset implements Service. OnReset runs before the service can be started
// again; concurrent calls run it once.
func (bs *BaseService) Reset() error {
	bs.state.resetting.Lock()
	defer bs.state.resetting.Unlock()
	if err := bs.resettable(); err != nil {
		return err
	}
	if err := bs.impl.OnReset(); err != nil {
		return err
	}

	bs.state.mtx.Lock()
	defer bs.state.mtx.Unlock()
	bs.state.phase, bs.state.quit = idle, make(chan struct{})

	return nil
}

func (bs *BaseService) resettable() error {
	bs.state.mtx.Lock()
	defer bs.state.mtx.Unlock()
	if bs.state.phase == idle {
		return ErrNotStarted
	}
	select {
	case <-bs.state.quit:
		return nil
	default:
		return ErrAlreadyStarted
	}
}

// OnReset implements Service by refusing.
func (*BaseService) OnReset() error { return ErrNoReset }

// IsRunning implements Service.
func (bs *BaseService) IsRunning() bool {
	bs.state.mtx.Lock()
	defer bs.state.mtx.Unlock()

	return bs.state.phase == running
}

// Quit implements Service.
func (bs *BaseService) Quit() <-chan struct{} {
	bs.state.mtx.Lock()
	defer bs.state.mtx.Unlock()

	return bs.state.quit
}

// Wait blocks until the service has stopped.
func (bs *BaseService) Wait() { <-bs.Quit() }

// String implements Service.
func (bs *BaseService) String() string { return bs.name }
