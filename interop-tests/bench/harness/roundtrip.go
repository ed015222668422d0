package harness

import (
	"bytes"
	"errors"
	"time"
)

// roundTrips measures the round trip of one message at a time.
func roundTrips(r *Run, open Opener) error {
	pipe := make(chan *Pipe, 1)
	back := make(chan bool, 1)
	var b *Pipe
	p, err := open(
		func(ch byte, msg []byte) {
			if b == nil {
				b = <-pipe
			}
			if !b.Reply(ch, bytes.Clone(msg)) {
				back <- false
			}
		},
		func(byte, []byte) { back <- true },
	)
	if err != nil {
		return err
	}
	pipe <- p

	err = measureRoundTrips(r, p, back)

	return errors.Join(err, p.Close())
}

func measureRoundTrips(r *Run, p *Pipe, back <-chan bool) error {
	msg := make([]byte, roundTripSize)
	one := func() error {
		if !p.Send(ChHigh, msg) {
			return errSend
		}
		select {
		case ok := <-back:
			if !ok {
				return errSend
			}

			return nil
		case <-time.After(5 * time.Second):
			return errors.New("no reply within 5 s")
		}
	}

	for begun := time.Now(); time.Since(begun) < r.Warmup; {
		if err := one(); err != nil {
			return err
		}
	}
	latencies := make([]float64, 0, maxRoundTrips)
	for begun := time.Now(); len(latencies) < maxRoundTrips && time.Since(begun) < r.Window; {
		sent := time.Now()
		if err := one(); err != nil {
			return err
		}
		latencies = append(latencies, microseconds(time.Since(sent)))
	}
	r.addLatencies(latencies)

	return nil
}

func microseconds(d time.Duration) float64 { return d.Seconds() * 1e6 }
