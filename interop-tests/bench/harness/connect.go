package harness

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Connector is a listening node and several dialers.
type Connector struct {
	// Connect makes one connection from a dialer to the node, until both have verified
	// each other, and closes it. Each worker has its own dialer.
	Connect func(worker int) error
	// Close ends the node and the dialers.
	Close func() error
}

// connects measures how many connections all workers together make per second.
func connects(r *Run, open func(workers int) (*Connector, error)) error {
	c, err := open(connectWorkers)
	if err != nil {
		return err
	}

	var (
		done atomic.Int64
		stop atomic.Bool
		wg   sync.WaitGroup
		errs = make([]error, connectWorkers)
	)
	for w := range connectWorkers {
		wg.Go(func() {
			for errs[w] == nil && !stop.Load() {
				errs[w] = c.Connect(w)
				done.Add(1)
			}
		})
	}
	time.Sleep(r.Warmup)
	n0, u0 := done.Load(), snapshot()
	time.Sleep(r.Window)
	n1, u1 := done.Load(), snapshot()
	stop.Store(true)
	wg.Wait()
	if err := errors.Join(append(errs, c.Close())...); err != nil {
		return fmt.Errorf("unable to connect: %w", err)
	}
	if n0 == n1 {
		return errNothing
	}

	used := u1.sub(u0)
	n := float64(n1 - n0)
	r.Add("connections_ps", n/used.wall.Seconds())
	r.Add("cpu_us_per_connection", used.cpu.Seconds()*1e6/n)
	r.Add("allocs_per_connection", float64(used.mallocs)/n)

	return nil
}
