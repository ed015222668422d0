package dual

import (
	"net"
	"slices"
	"sync"
)

// parked are connections to remotes that have yet to be spoken to, for the dialer of the
// libp2p stack. The zero value is empty.
type parked struct {
	mtx   sync.Mutex
	conns map[string][]net.Conn // by IP:port, where several peers may be dialed
}

// offer makes the next dial of the address return conn. The returned function takes the
// offer back, and reports whether it was used.
func (p *parked) offer(address string, conn net.Conn) (taken func() bool) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if p.conns == nil {
		p.conns = make(map[string][]net.Conn)
	}
	p.conns[address] = append(p.conns[address], conn)

	return func() bool {
		p.mtx.Lock()
		defer p.mtx.Unlock()

		return !p.remove(address, slices.Index(p.conns[address], conn))
	}
}

// take returns a connection that is offered for IP:port, or nil.
func (p *parked) take(address string) net.Conn {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	if len(p.conns[address]) == 0 {
		return nil
	}
	conn := p.conns[address][0]
	p.remove(address, 0)

	return conn
}

// remove reports whether there is a connection at index i. The caller holds the lock.
func (p *parked) remove(address string, i int) bool {
	if i < 0 {
		return false
	}
	if p.conns[address] = slices.Delete(p.conns[address], i, i+1); len(p.conns[address]) == 0 {
		delete(p.conns, address)
	}

	return true
}
