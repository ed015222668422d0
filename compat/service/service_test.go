package service

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

var errTest = errors.New("test")

// counter is a service that counts its callbacks and may be told to fail.
type counter struct {
	BaseService

	starts, stops, resets atomic.Int64
	startErr, resetErr    error
	onStart, onStop       func()
}

func newCounter() *counter {
	c := &counter{}
	c.BaseService = *NewBaseService(nil, "counter", c) // a copy, as TM2 code has it

	return c
}

func (c *counter) OnStart() error {
	c.starts.Add(1)
	if c.onStart != nil {
		c.onStart()
	}

	return c.startErr
}

func (c *counter) OnStop() {
	c.stops.Add(1)
	if c.onStop != nil {
		c.onStop()
	}
}

func (c *counter) OnReset() error {
	c.resets.Add(1)

	return c.resetErr
}

func requireOpen(t *testing.T, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
		t.Fatal("closed")
	default:
	}
}

func TestStartOnceStopOnce(t *testing.T) {
	c := newCounter()
	require.Equal(t, "counter", c.String())
	require.False(t, c.IsRunning())
	require.ErrorIs(t, c.Stop(), ErrNotStarted)
	require.Zero(t, c.stops.Load())

	c.onStart = func() { require.True(t, c.IsRunning(), "what OnStart starts may ask") }
	require.NoError(t, c.Start())
	require.True(t, c.IsRunning())
	require.ErrorIs(t, c.Start(), ErrAlreadyStarted)
	requireOpen(t, c.Quit())

	quit := c.Quit()
	c.onStop = func() {
		require.False(t, c.IsRunning())
		requireOpen(t, quit)
		require.ErrorIs(t, c.Stop(), ErrAlreadyStopped, "also from OnStop, without a deadlock")
	}
	require.NoError(t, c.Stop())
	<-quit
	c.Wait()
	require.False(t, c.IsRunning())
	require.ErrorIs(t, c.Stop(), ErrAlreadyStopped)
	require.ErrorIs(t, c.Start(), ErrAlreadyStopped)
	require.EqualValues(t, 1, c.starts.Load())
	require.EqualValues(t, 1, c.stops.Load())
}

func TestStartThatFailsMayBeRepeated(t *testing.T) {
	c := newCounter()
	c.startErr = errTest
	require.ErrorIs(t, c.Start(), errTest)
	require.False(t, c.IsRunning())
	require.ErrorIs(t, c.Stop(), ErrNotStarted)
	c.startErr = nil
	require.NoError(t, c.Start())
	require.NoError(t, c.Stop())
	require.EqualValues(t, 2, c.starts.Load())
	require.EqualValues(t, 1, c.stops.Load())
}

func TestStopDuringAStartThatFails(t *testing.T) {
	c := newCounter()
	c.startErr = errTest
	c.onStart = func() { require.NoError(t, c.Stop()) }
	require.ErrorIs(t, c.Start(), errTest)
	require.ErrorIs(t, c.Start(), ErrAlreadyStopped, "a stopped service stays stopped")
	<-c.Quit()
}

func TestConcurrentCalls(t *testing.T) {
	c := newCounter()
	var started, stopped atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if c.Start() == nil {
				started.Add(1)
			}
		})
	}
	wg.Wait()
	for range 16 {
		wg.Go(func() {
			if c.Stop() == nil {
				stopped.Add(1)
			}
			<-c.Quit()
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, started.Load())
	require.EqualValues(t, 1, stopped.Load())
	require.EqualValues(t, 1, c.starts.Load())
	require.EqualValues(t, 1, c.stops.Load())
}

func TestReset(t *testing.T) {
	c := newCounter()
	require.ErrorIs(t, c.Reset(), ErrNotStarted)
	require.NoError(t, c.Start())
	require.ErrorIs(t, c.Reset(), ErrAlreadyStarted)
	c.onStop = func() { require.ErrorIs(t, c.Reset(), ErrAlreadyStarted, "not before OnStop is done") }
	require.NoError(t, c.Stop())
	require.Zero(t, c.resets.Load())

	c.resetErr = errTest
	require.ErrorIs(t, c.Reset(), errTest)
	require.ErrorIs(t, c.Start(), ErrAlreadyStopped)
	c.resetErr = nil

	former := c.Quit()
	var done atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if c.Reset() == nil {
				done.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, done.Load())
	require.EqualValues(t, 2, c.resets.Load())
	<-former
	requireOpen(t, c.Quit())
	require.NoError(t, c.Start())
	require.NoError(t, c.Stop())
	<-c.Quit()
}

func TestDefaults(t *testing.T) {
	var s struct{ BaseService }
	s.BaseService = *NewBaseService(nil, "plain", &s)
	require.NotNil(t, s.Logger)
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	s.SetLogger(logger)
	require.Same(t, logger, s.Logger)
	require.NoError(t, s.Start())
	require.NoError(t, s.Stop())
	require.ErrorIs(t, s.Reset(), ErrNoReset)
	require.Same(t, logger, NewBaseService(logger, "logs", &s).Logger)
}
