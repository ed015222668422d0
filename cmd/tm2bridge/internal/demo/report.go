package demo

import "time"

// reporter passes a snapshot to progress every second, and one at the end.
type reporter struct {
	cluster  *cluster
	progress func(Snapshot)
	last     Snapshot
}

func newReporter(c *cluster, progress func(Snapshot)) *reporter {
	if progress == nil {
		progress = func(Snapshot) {}
	}

	return &reporter{cluster: c, progress: progress}
}

// start starts reporting. The returned function reports once more and ends it.
func (r *reporter) start() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	begin := time.Now()
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				r.progress(r.next(time.Since(begin)))
			}
		}
	}()

	return func() {
		close(done)
		<-ended
		r.progress(r.next(time.Since(begin)))
	}
}

// next takes a snapshot and computes the rates since the last one.
func (r *reporter) next(elapsed time.Duration) Snapshot {
	s := r.cluster.account()
	s.Elapsed = elapsed.Seconds()
	since := s.Elapsed - r.last.Elapsed
	s.Native.rate(r.last.Native, since)
	s.Libp2p.rate(r.last.Libp2p, since)
	r.last = s

	return s
}

func (s *Side) rate(before Side, seconds float64) {
	if seconds <= 0 {
		return
	}
	s.SentRate = float64(s.Sent-before.Sent) / seconds
	s.DeliveredRate = float64(s.Delivered-before.Delivered) / seconds
}
