package socket

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

const (
	// MaxUnsent is the most bytes that the kernel's send buffer of a connection may
	// hold unsent: room for the next batch while one is sent. By default the buffer
	// grows to megabytes. An urgent message cannot overtake data in that buffer, and
	// the data has left the processor's caches by the time it is sent.
	MaxUnsent = 64 << 10
	// MinUnsent is the limit on slow paths. Two segments of TCP fit into half of it, so that
	// an acknowledgement always finds data to send.
	MinUnsent = 8 << 10

	// unsentTime is how long a path takes to send what is unsent. Half of it is left when the
	// kernel asks for more, which is the time that the writer has to answer.
	unsentTime = 5 * time.Millisecond

	// The rate of a connection is looked up at most once in slowInterval while the limit is
	// below MaxUnsent, since every batch is small then, and in fastInterval otherwise.
	slowInterval = time.Millisecond
	fastInterval = 10 * time.Millisecond
	// quiet is how many bytes are written before the rate is looked up again: so few wait
	// nowhere, and for a small message the look would be a system call beside its own.
	quiet = MinUnsent / 2
)

// A Path is a connection whose rate can be looked up and whose unsent data can be limited.
type Path interface {
	// DeliveryRate returns the bytes a second at which the remote has lately acknowledged data
	// while there was enough to send; 0: not known yet.
	DeliveryRate() (int64, error)
	// LimitUnsent makes the connection take no more data while so many bytes are unsent.
	LimitUnsent(bytes int) error
}

// Drain keeps the data below a scheduler in proportion to the rate at which the path of a
// connection drains it: what a slow path holds delays an urgent message by hundreds of
// milliseconds, and a fast path needs more to be busy. The rate is that of the kernel
// (tcpi_delivery_rate, Linux), which does not mistake a writer that pauses for a slow path.
// Other connections keep what they begin with, MaxUnsent, and so does a nil Drain.
type Drain struct {
	path    Path
	looked  time.Time
	written int // bytes since then
	unsent  atomic.Int64
}

// maxBackoff is the longest wait between two retransmissions. By default it doubles up to two
// minutes: a connection that has outlived an outage of 30 s may then be silent for as long again.
// With it, Linux gives up a connection whose remote acknowledges nothing for a minute
// (tcp_retries2), of which a node would else hear after 105 s.
const maxBackoff = 5 * time.Second

// NewDrain limits the unsent data of a TCP socket to MaxUnsent on Linux (TCP_NOTSENT_LOWAT,
// tcp(7)), or of a connection that is a Path, or whose NetConn is, and the wait between
// retransmissions of a TCP socket to 5 s (TCP_RTO_MAX_MS, Linux 6.15). It does nothing to other
// connections and on other systems. After an error the connection is unusable.
func NewDrain(conn net.Conn) (*Drain, error) {
	d := &Drain{path: pathOf(conn)}
	d.unsent.Store(MaxUnsent)
	err := d.path.LimitUnsent(MaxUnsent)
	if p, ok := d.path.(tcpPath); ok && err == nil {
		if err = limitBackoff(p.conn, maxBackoff); errors.Is(err, errors.ErrUnsupported) {
			err = nil // an older kernel
		}
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		d.path = nil
	case err != nil:
		return nil, fmt.Errorf("set up socket: %w", err)
	}

	return d, nil
}

func pathOf(conn net.Conn) Path {
	if p, ok := conn.(Path); ok {
		return p
	}
	if wrapper, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return pathOf(wrapper.NetConn())
	}

	return tcpPath{conn}
}

// Follow notes that so many bytes were written, and looks up the rate if that is due. One
// goroutine calls it at a time, the one that writes to the connection, after each write.
func (d *Drain) Follow(written int) {
	if d == nil || d.path == nil {
		return
	}
	if d.written += written; d.written < quiet {
		return
	}
	unsent, interval := int(d.unsent.Load()), slowInterval
	if unsent == MaxUnsent {
		interval = fastInterval
	}
	now := time.Now()
	if now.Sub(d.looked) < interval {
		return
	}
	d.looked, d.written = now, 0
	rate, err := d.path.DeliveryRate()
	if err != nil || rate == 0 {
		return // the next write fails too, or finds a rate
	}
	next := int(min(max(float64(rate)*unsentTime.Seconds(), MinUnsent), MaxUnsent))
	if next > unsent*3/4 && next < unsent*4/3 && next != MaxUnsent && next != MinUnsent {
		return // a call for each little change would cost more than it brings
	}
	if next != unsent && d.path.LimitUnsent(next) == nil {
		d.unsent.Store(int64(next))
	}
}

// Full reports whether the path is so fast that MaxUnsent is the limit. It may be called
// concurrently, as Batch.
func (d *Drain) Full() bool { return d == nil || d.unsent.Load() == MaxUnsent }

// Batch returns how many bytes to write at a time: half of what may be unsent, because the
// kernel asks for more when half of it is left.
func (d *Drain) Batch() int {
	if d == nil {
		return MaxUnsent / 2
	}

	return int(d.unsent.Load() / 2)
}

// tcpPath is a TCP socket, or something that wraps one.
type tcpPath struct{ conn net.Conn }

// DeliveryRate implements Path.
func (p tcpPath) DeliveryRate() (int64, error) { return deliveryRate(p.conn) }

// LimitUnsent implements Path.
func (p tcpPath) LimitUnsent(bytes int) error { return limitUnsent(p.conn, bytes) }
