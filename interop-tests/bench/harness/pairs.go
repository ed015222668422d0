package harness

import (
	"errors"
	"sync/atomic"
	"time"
)

// ManyOpener makes as many connected pairs. onB is called for each message that a B receives,
// concurrently for different ones.
type ManyOpener func(pairs int, onB Handler) (*Pairs, error)

// Pairs are connected pairs of ends, in this process.
type Pairs struct {
	Sends []func(ch byte, msg []byte) bool // from A to B, as Pipe.Send
	Close func() error                     // ends all
}

// Each makes pairs that have nothing in common.
func Each(open Opener) ManyOpener {
	return func(n int, onB Handler) (*Pairs, error) {
		var pipes []*Pipe
		closeAll := func() (err error) {
			for _, p := range pipes {
				err = errors.Join(err, p.Close())
			}

			return err
		}
		pairs := &Pairs{Close: closeAll}
		for range n {
			p, err := open(onB, ignore)
			if err != nil {
				return nil, errors.Join(err, closeAll())
			}
			pipes = append(pipes, p)
			pairs.Sends = append(pairs.Sends, p.Send)
		}

		return pairs, nil
	}
}

// manyPairs measures pairs whose A's all send to their B's at once, as when each of as many nodes
// broadcasts to its peer.
func manyPairs(r *Run, open ManyOpener) error {
	var received atomic.Int64
	pairs, err := open(broadcastPeers, func(byte, []byte) { received.Add(1) })
	if err != nil {
		return err
	}
	var stop atomic.Bool
	ended := make(chan error, len(pairs.Sends))
	for _, send := range pairs.Sends {
		go func() { ended <- sendAll(&Pipe{Send: send}, broadcastSize, &stop) }()
	}

	time.Sleep(r.Warmup)
	n0, u0 := received.Load(), snapshot()
	time.Sleep(r.Window)
	n1, u1 := received.Load(), snapshot()
	stop.Store(true)
	if err := finishAll(pairs, ended); err != nil {
		return err
	}
	if n0 == n1 {
		return errNothing
	}
	used, n := u1.sub(u0), float64(n1-n0)
	r.Add("delivered_ps", n/used.wall.Seconds())
	r.Add("cpu_us_per_message", used.cpu.Seconds()*1e6/n)

	return nil
}

// finishAll is finish for pairs with one sender each.
func finishAll(pairs *Pairs, ended <-chan error) error {
	err := pairs.Close()
	for {
		select {
		case sendErr := <-ended:
			err = errors.Join(err, sendErr)
		default:
			return err
		}
	}
}
