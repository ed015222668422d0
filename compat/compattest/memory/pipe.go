package memory

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

var errConnClosed = errors.New("connection closed")

// pipe is the state that both ends of a connection share.
type pipe struct {
	done   chan struct{}
	mtx    sync.Mutex
	closed bool
	reason error
}

func newPipe() *pipe { return &pipe{done: make(chan struct{})} }

// close ends both ends. It keeps the reason of the first call.
func (p *pipe) close(reason error) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if p.closed {
		return
	}
	p.closed, p.reason = true, reason
	close(p.done)
}

func (p *pipe) err() error {
	p.mtx.Lock()
	defer p.mtx.Unlock()

	return p.reason
}

// lane carries messages in one direction. It has a bounded queue per channel.
type lane struct {
	chans   []*laneChannel // in the sender's order
	ready   chan struct{}  // a message was queued
	idle    chan struct{}  // the last message was taken
	pending atomic.Int64   // messages queued and not taken
	turn    int            // index of the channel that the receiver tries next
}

type laneChannel struct {
	desc     compat.ChannelDescriptor
	common   bool // both ends have it
	queue    chan []byte
	recently decay
}

// newLane returns the lane from one end to the other, as the sender's out and the
// receiver's in. It has all channels of the sender, but carries messages only on those
// that both ends have.
func newLane(from, to *peerConn) (out, in *lane) {
	l := &lane{ready: make(chan struct{}, 1), idle: make(chan struct{}, 1)}
	for _, d := range from.behavior.ReactorChDescriptors() {
		desc := d.FillDefaults()
		l.chans = append(l.chans, &laneChannel{
			desc:   desc,
			common: from.hasChannel(d.ID) && to.capacity[d.ID] > 0,
			queue:  make(chan []byte, desc.SendQueueCapacity),
		})
	}

	return l, l
}

// channel returns the channel, or nil when it carries no messages.
func (l *lane) channel(chID byte) *laneChannel {
	for _, c := range l.chans {
		if c.desc.ID == chID && c.common {
			return c
		}
	}

	return nil
}

// queued signals the receiver that a message was queued.
func (l *lane) queued(c *laneChannel, size int) {
	c.recently.add(size)
	signal(l.ready)
}

// take returns a queued message, if any. It serves the channels in turn.
func (l *lane) take() (chID byte, msg []byte, ok bool) {
	for range l.chans {
		c := l.chans[l.turn]
		l.turn = (l.turn + 1) % len(l.chans)
		select {
		case msg := <-c.queue:
			if l.pending.Add(-1) == 0 {
				signal(l.idle)
			}

			return c.desc.ID, msg, true
		default:
		}
	}

	return 0, nil, false
}

func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// flow counts the bytes of one direction.
type flow struct {
	mtx   sync.Mutex
	start time.Time
	bytes int64
	rate  decay
}

func (f *flow) begin() {
	f.mtx.Lock()
	defer f.mtx.Unlock()
	f.start = time.Now()
}

func (f *flow) add(n int) {
	f.mtx.Lock()
	defer f.mtx.Unlock()
	f.bytes += int64(n)
	f.rate.add(n)
}

func (f *flow) status() compat.FlowStatus {
	f.mtx.Lock()
	defer f.mtx.Unlock()
	s := compat.FlowStatus{Start: f.start, Bytes: f.bytes, CurRate: f.rate.value()}
	if elapsed := time.Since(f.start).Seconds(); !f.start.IsZero() && elapsed > 0 {
		s.AvgRate = int64(float64(f.bytes) / elapsed)
	}

	return s
}
