package stacktest

import (
	"io"
	"net"
	"sync"
	"time"
)

// Flood is a number of connections whose remotes prove no ID. Each begins in some way and
// then sends nothing, and comes again when the node closes it. All methods may be called
// concurrently.
type Flood struct {
	to    string
	begin func(i int, conn net.Conn)
	pace  *time.Ticker // of those that come again; nil: at once

	mtx   sync.Mutex
	conns map[net.Conn]struct{} // nil once stopped
	again int
	wg    sync.WaitGroup
}

// StartFlood opens a connection to the address from each of the IPs, of which begin sends
// the first bytes, and returns when each has begun once. begin may fail, since the node may
// close a connection at any time. At most one connection in each pace comes again; with 0
// each does at once. The caller stops the flood.
func StartFlood(to string, ips []string, pace time.Duration, begin func(i int, conn net.Conn)) *Flood {
	f := &Flood{to: to, begin: begin, conns: make(map[net.Conn]struct{})}
	if pace > 0 {
		f.pace = time.NewTicker(pace)
	}
	var begun sync.WaitGroup
	for i, ip := range ips {
		begun.Add(1)
		f.wg.Go(func() {
			once := sync.OnceFunc(begun.Done)
			defer once()
			dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
			for f.visit(i, dialer, once) {
				if f.pace != nil {
					<-f.pace.C
				}
			}
		})
	}
	begun.Wait()

	return f
}

// visit holds a connection until it is closed, and reports whether to come again.
func (f *Flood) visit(i int, dialer *net.Dialer, begun func()) bool {
	conn, err := dialer.Dial("tcp", f.to)
	if err != nil {
		return f.goesOn() // the backlog of the socket is full
	}
	defer conn.Close()
	f.mtx.Lock()
	if f.conns == nil {
		f.mtx.Unlock()

		return false
	}
	f.conns[conn] = struct{}{}
	f.mtx.Unlock()
	f.begin(i, conn)
	begun()
	_, _ = io.Copy(io.Discard, conn) // until either end closes it

	f.mtx.Lock()
	defer f.mtx.Unlock()
	delete(f.conns, conn)
	f.again++

	return f.conns != nil
}

func (f *Flood) goesOn() bool {
	f.mtx.Lock()
	defer f.mtx.Unlock()

	return f.conns != nil
}

// Again returns how many connections the node has closed.
func (f *Flood) Again() int {
	f.mtx.Lock()
	defer f.mtx.Unlock()

	return f.again
}

// Stop closes all connections and waits until no more come. It may be called once.
func (f *Flood) Stop() {
	f.mtx.Lock()
	for conn := range f.conns {
		_ = conn.Close()
	}
	f.conns = nil
	f.mtx.Unlock()
	f.wg.Wait()
	if f.pace != nil {
		f.pace.Stop()
	}
}

// IPs returns n IPs.
func IPs(n int, ip func(i int) string) []string {
	ips := make([]string, n)
	for i := range ips {
		ips[i] = ip(i)
	}

	return ips
}
