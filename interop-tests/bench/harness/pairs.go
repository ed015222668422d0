package harness

import (
	"errors"
	"fmt"
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

// pairLoad is what the pairs carry at once. Buffers would otherwise take up to some MB of each
// pair, more for two connections in a row than for one, and a window of time on a busy machine
// would show how they fill.
type pairLoad struct {
	sent, received [broadcastPeers]atomic.Int64
	allowed        [broadcastPeers]chan struct{} // a batch may be sent
	stop           chan struct{}
}

func newPairLoad() *pairLoad {
	l := &pairLoad{stop: make(chan struct{})}
	for i := range l.allowed {
		l.allowed[i] = make(chan struct{}, pairWindow/pairBatch)
		for range pairWindow / pairBatch {
			l.allowed[i] <- struct{}{}
		}
	}

	return l
}

// receive counts a message, which begins with the number of its pair.
func (l *pairLoad) receive(_ byte, msg []byte) {
	pair := msg[0]
	if l.received[pair].Add(1)%pairBatch == 0 {
		select {
		case l.allowed[pair] <- struct{}{}:
		default: // a message came twice, which settle tells
		}
	}
}

// send sends messages of a pair until the load is stopped.
func (l *pairLoad) send(pair int, send func(ch byte, msg []byte) bool) error {
	msg := make([]byte, broadcastSize)
	msg[0] = byte(pair)
	for {
		select {
		case <-l.stop:
			return nil
		case <-l.allowed[pair]:
		}
		for range pairBatch {
			if !send(ChHigh, msg) {
				return fmt.Errorf("pair %d: %w", pair, errSend)
			}
			l.sent[pair].Add(1)
		}
	}
}

// await waits until each pair has delivered as many messages as it may have on their way since it
// had delivered those.
func (l *pairLoad) await(since [broadcastPeers]int64) error {
	for i := range since {
		err := Await(fmt.Sprintf("messages of pair %d", i), func() bool { return l.received[i].Load() >= since[i]+pairWindow })
		if err != nil {
			return err
		}
	}

	return nil
}

func (l *pairLoad) delivered() (each [broadcastPeers]int64, sum int64) {
	for i := range each {
		each[i] = l.received[i].Load()
		sum += each[i]
	}

	return each, sum
}

// settle checks that all messages that were taken arrive, each once.
func (l *pairLoad) settle() error {
	for i := range l.sent {
		if err := Await(fmt.Sprintf("all messages of pair %d", i), func() bool { return l.received[i].Load() == l.sent[i].Load() }); err != nil {
			return fmt.Errorf("%d of %d arrived: %w", l.received[i].Load(), l.sent[i].Load(), err)
		}
	}

	return nil
}

// manyPairs measures pairs whose A's all send to their B's at once, as when each of as many nodes
// broadcasts to its peer.
func manyPairs(r *Run, open ManyOpener) error {
	load := newPairLoad()
	pairs, err := open(broadcastPeers, load.receive)
	if err != nil {
		return err
	}
	ended := make(chan error, len(pairs.Sends))
	for i, send := range pairs.Sends {
		go func() { ended <- load.send(i, send) }()
	}
	err = load.measure(r)
	close(load.stop)
	for range pairs.Sends {
		err = errors.Join(err, <-ended)
	}
	if err == nil {
		err = load.settle()
	}

	return errors.Join(err, pairs.Close())
}

// measure lasts longer than the warm-up and the window if a pair has not delivered its messages by
// then, since the machine is busy.
func (l *pairLoad) measure(r *Run) error {
	time.Sleep(r.Warmup)
	if err := l.await([broadcastPeers]int64{}); err != nil {
		return err
	}
	each, n0 := l.delivered()
	u0 := snapshot()
	time.Sleep(r.Window)
	if err := l.await(each); err != nil {
		return err
	}
	_, n1 := l.delivered()
	used, n := snapshot().sub(u0), float64(n1-n0)
	r.Add("delivered_ps", n/used.wall.Seconds())
	r.Add("cpu_us_per_message", used.cpu.Seconds()*1e6/n)

	return nil
}
