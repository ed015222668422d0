package native

import (
	"net/netip"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// guard asks the switch about inbound connections before their handshakes. The zero value
// admits all. All methods may be called concurrently.
type guard struct {
	mtx         sync.Mutex
	admission   compat.ConnAdmission   // nil: admit all
	reservation compat.ConnReservation // nil: reserve for nobody
}

// ask sets the switch that decides from now on.
func (g *guard) ask(behavior compat.PeerBehavior) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	g.admission, _ = behavior.(compat.ConnAdmission)
	g.reservation, _ = behavior.(compat.ConnReservation)
}

// reserves reports whether a configured peer is known to connect from the IP.
func (g *guard) reserves(ip netip.Addr) bool {
	g.mtx.Lock()
	reservation := g.reservation
	g.mtx.Unlock()

	return reservation != nil && reservation.ReservesConn(ip.AsSlice())
}

// check returns why a connection from the IP is refused, or nil.
func (g *guard) check(ip netip.Addr) error {
	g.mtx.Lock()
	admission := g.admission
	g.mtx.Unlock()
	if admission == nil {
		return nil
	}

	return admission.AdmitConn(ip.AsSlice())
}
