package box

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Box is a running network. It may be used by several goroutines, except for Move.
type Box struct {
	places      []*Place
	router      *router
	prioritized bool
}

// New starts a network. The caller must close it, after the processes and sockets in it.
func New(c Config) (*Box, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if err := available(c.Congestion); err != nil {
		return nil, err
	}
	b := &Box{prioritized: enterQuiet()}
	var ports []port
	fail := func(err error) (*Box, error) {
		errs := []error{err, b.Close()}
		for _, p := range ports {
			errs = append(errs, unix.Close(p.tun))
		}

		return nil, errors.Join(errs...)
	}
	for i := range c.Places {
		// Places are in networks of their own, as nodes on different continents are.
		addr := netip.AddrFrom4([4]byte{10, byte(64 + i), 0, 1})
		p, tun, err := newPlace(addr, c.Congestion)
		if err != nil {
			return fail(err)
		}
		b.places = append(b.places, p)
		ports = append(ports, port{tun: tun, addr: addr, exit: newExit(c.Uplink(i))})
	}
	router, err := newRouter(c, ports)
	if err != nil {
		return fail(err)
	}
	b.router = router
	go router.run()

	return b, nil
}

// available returns an error if the kernel lacks a congestion control. ip would refuse it
// too, but not say which ones there are.
func available(congestion string) error {
	const file = "/proc/sys/net/ipv4/tcp_available_congestion_control"
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if !slices.Contains(strings.Fields(string(raw)), congestion) {
		return fmt.Errorf("%w: the kernel has no congestion control %q, only %s(load its module: modprobe tcp_%s)",
			ErrUnavailable, congestion, strings.TrimSuffix(string(raw), "\n")+" ", congestion)
	}

	return nil
}

// Close ends the network. It returns the first error of the router.
func (b *Box) Close() error {
	defer leaveQuiet()
	var err error
	if b.router != nil {
		err = b.router.close()
	}
	for _, p := range b.places {
		p.Close()
	}

	return err
}

// Place returns the place with an index.
func (b *Box) Place(i int) *Place { return b.places[i] }

// Places returns how many places there are.
func (b *Box) Places() int { return len(b.places) }

// Prioritized reports whether the router has real-time priority. Without it, a busy machine
// makes it late.
func (b *Box) Prioritized() bool { return b.prioritized }

// SetPath changes the path from one place to another. Packets on their way arrive as before.
func (b *Box) SetPath(from, to int, p Path) error {
	if err := p.Validate(); err != nil {
		return err
	}
	b.router.mtx.Lock()
	defer b.router.mtx.Unlock()
	b.router.lines[from][to].Path = p

	return nil
}

// Path returns the path from one place to another.
func (b *Box) Path(from, to int) Path {
	b.router.mtx.Lock()
	defer b.router.mtx.Unlock()

	return b.router.lines[from][to].Path
}

// Move gives a place another address. Packets to the former address are lost from now on, and
// the sockets of the place that are bound to it stay so.
func (b *Box) Move(place int, addr netip.Addr) error {
	p := b.places[place]
	former := p.addr
	p.addr = addr
	err := p.IP("addr add "+addr.String()+"/32 dev "+device, p.route(), "addr del "+former.String()+"/32 dev "+device)
	if err != nil {
		return err
	}
	b.router.mtx.Lock()
	defer b.router.mtx.Unlock()
	b.router.ports[place].addr = addr

	return nil
}

// Traffic returns what was sent from one place to another so far.
func (b *Box) Traffic(from, to int) Traffic {
	b.router.mtx.Lock()
	defer b.router.mtx.Unlock()

	return b.router.traffic[from][to]
}

// Total returns what was sent between all places so far.
func (b *Box) Total() Traffic {
	b.router.mtx.Lock()
	defer b.router.mtx.Unlock()
	var sum Traffic
	for _, row := range b.router.traffic {
		for _, t := range row {
			sum = sum.Add(t)
		}
	}

	return sum
}

// Late returns how late the router was since the last call, or since its start, apart from stops
// of the machine that took at most a two-hundredth of the time together.
func (b *Box) Late() time.Duration {
	b.router.mtx.Lock()
	defer b.router.mtx.Unlock()

	return b.router.late.take(b.router.now())
}
