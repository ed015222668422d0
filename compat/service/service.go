// Package service defines how the long-running parts of a node start and stop, under TM2's
// names: Service and BaseService.
package service

import (
	"errors"
	"log/slog"
	"sync"
)

// Errors of Start, Stop and Reset.
var (
	// ErrAlreadyStarted: Start of a running service, or Reset of one that has not stopped.
	ErrAlreadyStarted = errors.New("already started")
	// ErrAlreadyStopped: Start or Stop of a stopped service.
	ErrAlreadyStopped = errors.New("already stopped")
	// ErrNotStarted: Stop or Reset of a service that was never started.
	ErrNotStarted = errors.New("not started")
	// ErrNoReset: Reset of a service that cannot be reset.
	ErrNoReset = errors.New("service cannot be reset")
)

// Service is started once and stopped once. All methods may be called
// concurrently.
type Service interface {
	// Start runs OnStart. If that fails, Start may be called again. It returns
	// ErrAlreadyStarted or ErrAlreadyStopped if the service was started before.
	Start() error
	// OnStart is the service's own part of Start.
	OnStart() error

	// Stop ends the service: IsRunning turns false, OnStop runs, Quit is closed. Later
	// calls return ErrAlreadyStopped at once, also while OnStop runs. A call before Start
	// returns ErrNotStarted.
	Stop() error
	// OnStop is the service's own part of Stop.
	OnStop()

	// Reset lets a stopped service be started again if OnReset returns nil.
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

// state is shared by all copies of a BaseService, because TM2 code embeds one by value:
// x.BaseService = *NewBaseService(...).
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

// Start implements Service. IsRunning is true before OnStart begins, as in TM2, because what
// OnStart starts may ask for it.
func (bs *BaseService) Start() error {
	if err := bs.state.advance(idle, running); err != nil {
		return err
	}
	err := bs.impl.OnStart()
	if err != nil {
		_ = bs.state.advance(running, idle) // unless it was stopped meanwhile
	}

	return err
}

// advance changes the phase if it is from, and otherwise says which phase it is.
func (st *state) advance(from, to phase) error {
	st.mtx.Lock()
	defer st.mtx.Unlock()
	if st.phase != from {
		return [...]error{idle: ErrNotStarted, running: ErrAlreadyStarted, stopped: ErrAlreadyStopped}[st.phase]
	}
	st.phase = to

	return nil
}

// OnStart implements Service by doing nothing.
func (*BaseService) OnStart() error { return nil }

// Stop implements Service.
func (bs *BaseService) Stop() error {
	if err := bs.state.advance(running, stopped); err != nil {
		return err
	}
	quit := bs.state.quit // Reset replaces it only once it is closed
	bs.impl.OnStop()
	close(quit)

	return nil
}

// OnStop implements Service by doing nothing.
func (*BaseService) OnStop() {}

// Reset implements Service. OnReset runs before the service can be started again, and once
// for concurrent calls.
func (bs *BaseService) Reset() error {
	bs.state.resetting.Lock()
	defer bs.state.resetting.Unlock()
	bs.state.mtx.Lock()
	unused := bs.state.phase == idle
	bs.state.mtx.Unlock()
	if unused {
		return ErrNotStarted
	}
	select {
	case <-bs.Quit():
	default:
		return ErrAlreadyStarted
	}
	if err := bs.impl.OnReset(); err != nil {
		return err
	}
	bs.state.mtx.Lock()
	defer bs.state.mtx.Unlock()
	bs.state.phase, bs.state.quit = idle, make(chan struct{})

	return nil
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
