package box

import (
	"container/heap"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// batch is how many packets are read from a place before others have their turn.
	batch = 64
	// tick is how often the router looks at the clock even when no packet is due, so that it
	// also notices being late when packets wait to be read.
	tick = 2 * time.Millisecond
	// headerSize is the size of an IPv4 header without options.
	headerSize = 20
	// processors is the least GOMAXPROCS. After each system call the router needs one that is
	// free. Those of other goroutines may belong to threads that wait for the CPU, whatever
	// the priority of the router's thread.
	processors = 16
)

// router passes packets between TUN devices. One thread does everything, so that nothing but
// the order of packets and the clock decides.
type router struct {
	begun  time.Time
	wake   int // eventfd; readable at the end
	polled []unix.PollFd
	done   chan struct{}
	spare  []*packet // no collection disturbs what allocates nothing

	mtx      sync.Mutex
	ports    []port
	lines    [][]line // from, to
	traffic  [][]Traffic
	flying   flight
	sequence uint64
	late     lateness
	err      error // the first of reading or writing
}

// port is where the packets of a place come out and go in.
type port struct {
	tun  int // its file descriptor, which does not block
	addr netip.Addr
	exit exit
}

// newRouter returns a router for TUN devices, which it closes in the end.
func newRouter(c Config, ports []port) (*router, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	if runtime.GOMAXPROCS(0) < processors {
		runtime.GOMAXPROCS(processors)
	}
	r := &router{begun: time.Now(), wake: wake, done: make(chan struct{}), ports: ports}
	for from := range ports {
		lines := make([]line, len(ports))
		for to := range ports {
			lines[to] = newLine(c.Path(from, to), c.Seed, uint64(from)<<32|uint64(to))
		}
		r.lines = append(r.lines, lines)
		r.traffic = append(r.traffic, make([]Traffic, len(ports)))
		r.polled = append(r.polled, unix.PollFd{Fd: int32(ports[from].tun), Events: unix.POLLIN})
	}
	r.polled = append(r.polled, unix.PollFd{Fd: int32(wake), Events: unix.POLLIN})

	return r, nil
}

// run routes until close is called.
func (r *router) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(r.done)
	next := r.now() + tick
	for {
		next = r.deliver(next)
		wait := unix.NsecToTimespec(int64(max(0, next-r.now())))
		if _, err := unix.Ppoll(r.polled, &wait, nil); err != nil && !errors.Is(err, unix.EINTR) {
			r.fail(fmt.Errorf("poll: %w", err))

			return
		}
		if r.polled[len(r.ports)].Revents != 0 {
			return
		}
		for from := range r.ports {
			if r.polled[from].Revents != 0 {
				r.receive(from)
			}
		}
	}
}

// close ends the router.
func (r *router) close() error {
	_, err := unix.Write(r.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	if err != nil {
		return fmt.Errorf("wake the router: %w", err) // the descriptors stay open
	}
	<-r.done
	errs := []error{r.err, unix.Close(r.wake)}
	for _, p := range r.ports {
		errs = append(errs, unix.Close(p.tun))
	}

	return errors.Join(errs...)
}

func (r *router) now() time.Duration { return time.Since(r.begun) }

func (r *router) fail(err error) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	if r.err == nil {
		r.err = err
	}
}

// receive reads the packets that a place has sent.
func (r *router) receive(from int) {
	for range batch {
		p := r.packet()
		n, err := unix.Read(r.ports[from].tun, p.data[:cap(p.data)])
		if err != nil {
			r.spare = append(r.spare, p)
			if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
				r.fail(fmt.Errorf("read from place %d: %w", from, err))
			}

			return
		}
		p.data = p.data[:n]
		if !r.accept(from, p) {
			r.spare = append(r.spare, p)
		}
	}
}

// packet returns a packet to read into.
func (r *router) packet() *packet {
	if last := len(r.spare) - 1; last >= 0 {
		p := r.spare[last]
		r.spare = r.spare[:last]

		return p
	}

	return &packet{data: make([]byte, mtu)}
}

// accept reports whether the packet will arrive.
func (r *router) accept(from int, p *packet) bool {
	if len(p.data) < headerSize || p.data[0]>>4 != 4 {
		return false
	}
	destination := netip.AddrFrom4([4]byte(p.data[16:20]))
	r.mtx.Lock()
	defer r.mtx.Unlock()
	to := r.placeOf(destination)
	if to < 0 {
		return false
	}
	t := &r.traffic[from][to]
	t.Packets++
	t.Bytes += int64(len(p.data))
	left, ok := r.ports[from].exit.departure(r.now(), len(p.data))
	if !ok {
		t.Dropped++

		return false
	}
	due, ok := r.lines[from][to].arrival(left)
	if !ok {
		t.Lost++

		return false
	}
	r.sequence++
	p.to, p.due, p.sequence = to, due, r.sequence
	heap.Push(&r.flying, p)

	return true
}

func (r *router) placeOf(addr netip.Addr) int {
	for i := range r.ports {
		if r.ports[i].addr == addr {
			return i
		}
	}

	return -1
}

// deliver writes the packets that are due. It returns when it has to be called next.
func (r *router) deliver(expected time.Duration) time.Duration {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	now := r.now()
	late := now - expected
	for len(r.flying) > 0 && r.flying[0].due <= now {
		p := heap.Pop(&r.flying).(*packet)
		late = max(late, now-p.due)
		if err := write(r.ports[p.to].tun, p.data); err != nil && r.err == nil {
			r.err = fmt.Errorf("write to place %d: %w", p.to, err)
		}
		r.spare = append(r.spare, p)
		now = r.now()
	}
	r.late.add(late)
	next := now + tick
	if len(r.flying) > 0 {
		next = min(next, r.flying[0].due)
	}

	return next
}

func write(fd int, data []byte) error {
	for {
		_, err := unix.Write(fd, data)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// packet is on its way.
type packet struct {
	data     []byte
	to       int
	due      time.Duration
	sequence uint64 // of two packets that are due at once, the first one is first
}

// flight is a heap of packets.
type flight []*packet

func (f flight) Len() int      { return len(f) }
func (f flight) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f flight) Less(i, j int) bool {
	if f[i].due != f[j].due {
		return f[i].due < f[j].due
	}

	return f[i].sequence < f[j].sequence
}

func (f *flight) Push(p any) { *f = append(*f, p.(*packet)) }

func (f *flight) Pop() any {
	last := len(*f) - 1
	p := (*f)[last]
	(*f)[last] = nil
	*f = (*f)[:last]

	return p
}
