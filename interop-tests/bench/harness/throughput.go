package harness

import (
	"errors"
	"sync/atomic"
	"time"
)

var errSend = errors.New("a message was not taken")

// throughput measures one goroutine that sends messages from A to B on ChHigh.
func throughput(r *Run, open Opener, size int) error {
	var received atomic.Int64
	p, err := open(func(_ byte, msg []byte) { received.Add(int64(len(msg))) }, ignore)
	if err != nil {
		return err
	}

	var stop atomic.Bool
	ended := make(chan error, 1)
	go func() { ended <- sendAll(p, size, &stop) }()

	time.Sleep(r.Warmup)
	n0, u0 := received.Load(), snapshot()
	time.Sleep(r.Window)
	n1, u1 := received.Load(), snapshot()
	stop.Store(true)
	if err := finish(p, ended); err != nil {
		return err
	}
	if n0 == n1 {
		return errNothing
	}

	used := u1.sub(u0)
	bytes := float64(n1 - n0)
	messages := bytes / float64(size)
	r.Add("rate_MBps", bytes/1e6/used.wall.Seconds())
	r.Add("messages_ps", messages/used.wall.Seconds())
	r.Add("cpu_s_per_GB", used.cpu.Seconds()/(bytes/1e9))
	r.Add("cpu_us_per_message", used.cpu.Seconds()*1e6/messages)
	r.Add("allocs_per_message", float64(used.mallocs)/messages)
	r.Add("alloc_bytes_per_message", float64(used.allocBytes)/messages)

	return nil
}

// sendAll sends until stop is set. It ignores a failure after that, since the pipe may be
// closed.
func sendAll(p *Pipe, size int, stop *atomic.Bool) error {
	msg := make([]byte, size)
	for i := range msg {
		msg[i] = byte(i * 7)
	}
	for !stop.Load() {
		if !p.Send(ChHigh, msg) && !stop.Load() {
			return errSend
		}
	}

	return nil
}

// finish closes the pipe and returns the error of its sender, if that has ended. It does not
// wait for the sender: a Send that waits for a queue may notice the end only at its timeout,
// and the process ends after the case.
func finish(p *Pipe, ended <-chan error) error {
	err := p.Close()
	select {
	case sendErr := <-ended:
		return errors.Join(sendErr, err)
	default:
		return err
	}
}
