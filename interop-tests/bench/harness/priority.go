package harness

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Shorter warm-ups would not fill all queues, and shorter windows have too few samples for a
// quantile.
const (
	minFloodWarmup = 500 * time.Millisecond
	minFloodWindow = time.Second
)

// flood is one run of priority.
type flood struct {
	begun time.Time
	pipe  *Pipe
	low   atomic.Int64 // bytes received on ChLow
	stop  atomic.Bool

	mtx       sync.Mutex
	measuring bool      // messages sent now are measured
	missing   int       // measured messages that have not arrived
	latencies []float64 // microseconds
}

// priority measures the time from Send to receipt of small messages on ChHigh, sent at an
// interval, while A sends large messages on ChLow without pause.
func priority(r *Run, open Opener) error {
	f := &flood{begun: time.Now()}
	p, err := open(f.receive, ignore)
	if err != nil {
		return err
	}
	f.pipe = p

	ended := make(chan error, 1)
	go func() { ended <- f.sendLow() }()
	err = f.measure(r)
	f.stop.Store(true)

	return errors.Join(err, finish(p, ended))
}

func (f *flood) measure(r *Run) error {
	if err := f.sendHigh(max(r.Warmup, minFloodWarmup)); err != nil {
		return err
	}
	f.mtx.Lock()
	f.measuring = true
	f.mtx.Unlock()
	low, begun := f.low.Load(), time.Now()
	if err := f.sendHigh(max(r.Window, minFloodWindow)); err != nil {
		return err
	}
	rate := float64(f.low.Load()-low) / 1e6 / time.Since(begun).Seconds()
	if err := Await("messages on the high channel", f.complete); err != nil {
		return err
	}
	if rate == 0 {
		return errNothing
	}
	f.mtx.Lock()
	defer f.mtx.Unlock()
	r.addLatencies(f.latencies)
	r.Add("low_MBps", rate)

	return nil
}

// sendHigh sends a message at every interval. The message contains its send time and whether
// it is measured.
func (f *flood) sendHigh(d time.Duration) error {
	ticks := time.NewTicker(urgentInterval)
	defer ticks.Stop()
	for begun := time.Now(); time.Since(begun) < d; <-ticks.C {
		msg := make([]byte, urgentSize)
		f.mtx.Lock()
		if f.measuring {
			f.missing++
			msg[8] = 1
		}
		f.mtx.Unlock()
		binary.LittleEndian.PutUint64(msg, uint64(time.Since(f.begun)))
		if !f.pipe.Send(ChHigh, msg) {
			return errSend
		}
	}

	return nil
}

func (f *flood) sendLow() error {
	msg := make([]byte, floodSize)
	for !f.stop.Load() {
		if !f.pipe.Send(ChLow, msg) && !f.stop.Load() {
			return errSend
		}
	}

	return nil
}

func (f *flood) receive(ch byte, msg []byte) {
	if ch == ChLow {
		f.low.Add(int64(len(msg)))

		return
	}
	latency := time.Since(f.begun) - time.Duration(binary.LittleEndian.Uint64(msg))
	if msg[8] == 0 {
		return
	}
	f.mtx.Lock()
	defer f.mtx.Unlock()
	f.missing--
	f.latencies = append(f.latencies, microseconds(latency))
}

// complete reports whether all measured messages have arrived.
func (f *flood) complete() bool {
	f.mtx.Lock()
	defer f.mtx.Unlock()

	return f.missing == 0
}
