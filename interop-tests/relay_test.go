package interoptests

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
)

// Sizes of the parts of a native connection's stream, in bytes (docs/wire.md §3).
const (
	ephemeralSize = 35
	frameSize     = 1044
)

// relay forwards connections between endpoints. It holds each connection until its target is
// released, and counts the bytes.
type relay struct {
	t   *testing.T
	ctx context.Context // ends with the test
	wg  sync.WaitGroup

	mtx     sync.Mutex
	held    chan struct{}     // closed by release
	ends    chan struct{}     // an ended connection stays open at its other end until it is closed
	targets map[string]string // IP:port by ID
	links   []*link
	changed chan struct{} // closed and replaced with every change
}

// link is one relayed connection.
type link struct {
	target             string // ID
	toTarget, toDialer int    // bytes so far
	closed             bool
	closedAt           time.Time
}

// lasted reports whether the link closed so long after the time before its dial that a handshake
// has taken too long.
func (l link) lasted(begun time.Time) bool {
	return l.closed && l.closedAt.Sub(begun) >= handshakeTime
}

// framesTo and framesFrom return how many complete frames have passed to the target and from
// it.
func (l link) framesTo() int   { return (l.toTarget - ephemeralSize) / frameSize }
func (l link) framesFrom() int { return (l.toDialer - ephemeralSize) / frameSize }

func startRelay(t *testing.T) *relay {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &relay{
		t: t, ctx: ctx, held: make(chan struct{}), ends: make(chan struct{}),
		targets: make(map[string]string), changed: make(chan struct{}),
	}
	close(r.ends)
	t.Cleanup(func() {
		cancel()
		r.wg.Wait()
	})

	return r
}

// listen returns the address, ID@IP:port, at which the endpoint with the ID is
// dialed through the relay.
func (r *relay) listen(id string) string {
	r.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r.t, err)
	r.wg.Go(func() { r.accept(listener, id) })
	// Registered after the relay's own cleanup, so that it runs before it.
	r.t.Cleanup(func() { closeQuietly(listener) })

	return types.NetAddressString(types.ID(id), listener.Addr().String())
}

// release lets connections through to the endpoints.
func (r *relay) release(targets ...endpoint) {
	r.change(func() {
		for _, e := range targets {
			r.targets[e.ID()] = e.HostPort()
		}
		close(r.held)
	})
}

// hold holds new connections until the next release, and keeps either end of the others from
// noticing that the other one has closed until the returned function is called.
func (r *relay) hold() (endAll func()) {
	ends := make(chan struct{})
	r.change(func() { r.held, r.ends = make(chan struct{}), ends })
	endAll = sync.OnceFunc(func() { close(ends) })
	r.t.Cleanup(endAll)

	return endAll
}

func (r *relay) accept(listener net.Listener, id string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return // closed by the cleanup
		}
		l := &link{target: id}
		r.change(func() { r.links = append(r.links, l) })
		r.wg.Go(func() {
			r.run(l, conn)
			r.change(func() { l.closed, l.closedAt = true, time.Now() })
		})
	}
}

// run relays one connection until either side closes it.
func (r *relay) run(l *link, dialer net.Conn) {
	defer closeQuietly(dialer)
	r.mtx.Lock()
	held := r.held
	r.mtx.Unlock()
	select {
	case <-held:
	case <-r.ctx.Done():
		return
	}
	r.mtx.Lock()
	hostPort := r.targets[l.target]
	r.mtx.Unlock()
	target, err := new(net.Dialer).DialContext(r.ctx, "tcp", hostPort)
	if err != nil {
		return // the target has ended
	}
	defer closeQuietly(target)

	var wg sync.WaitGroup
	defer wg.Wait()
	ended := make(chan struct{}, 2)
	forward := func(to, from net.Conn, passed *int) {
		wg.Go(func() {
			// The endpoints report how the connection ended.
			_, _ = io.Copy(counter{to, func(n int) { r.change(func() { *passed += n }) }}, from)
			ended <- struct{}{}
		})
	}
	forward(target, dialer, &l.toTarget)
	forward(dialer, target, &l.toDialer)
	select {
	case <-ended:
	case <-r.ctx.Done():
	}
	r.mtx.Lock()
	ends := r.ends
	r.mtx.Unlock()
	select {
	case <-ends:
	case <-r.ctx.Done():
	}
	closeQuietly(dialer)
	closeQuietly(target)
}

// closeQuietly closes a closer that may be closed already.
func closeQuietly(c io.Closer) { _ = c.Close() }

// counter counts bytes before it writes them, so that they are counted when the reader reacts
// to them.
type counter struct {
	io.Writer

	count func(int)
}

func (c counter) Write(p []byte) (int, error) {
	c.count(len(p))

	return c.Writer.Write(p)
}

func (r *relay) change(f func()) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// snapshot returns the state of all connections so far, and a channel that is closed when it
// changes.
func (r *relay) snapshot() ([]link, <-chan struct{}) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	links := make([]link, 0, len(r.links))
	for _, l := range r.links {
		links = append(links, *l)
	}

	return links, r.changed
}

// await waits until wanted returns true for the connections so far.
func (r *relay) await(what string, wanted func([]link) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), peerlog.Patience)
	defer cancel()
	for {
		links, changed := r.snapshot()
		if wanted(links) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			r.t.Fatalf("%s: %v; connections %+v", what, ctx.Err(), links)
		}
	}
}
