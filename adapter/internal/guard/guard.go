package guard

import (
	"errors"
	"net/netip"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// Guard asks whoever decides about inbound connections. The zero value admits all, and reserves
// places for nobody. All methods may be called concurrently.
type Guard struct {
	mtx         sync.RWMutex
	admission   compat.ConnAdmission   // nil: admit all
	reservation compat.ConnReservation // nil: reserve for nobody
}

// Ask sets who decides from now on: what of compat.ConnAdmission and compat.ConnReservation it
// implements.
func (g *Guard) Ask(decider any) {
	g.mtx.Lock()
	defer g.mtx.Unlock()
	g.admission, _ = decider.(compat.ConnAdmission)
	g.reservation, _ = decider.(compat.ConnReservation)
}

// Reserves reports whether places are kept for the IP, since a configured peer may connect from
// there.
func (g *Guard) Reserves(ip netip.Addr) bool {
	g.mtx.RLock()
	reservation := g.reservation
	g.mtx.RUnlock()

	return reservation != nil && reservation.ReservesConn(ip.AsSlice())
}

// Check returns why a connection from the IP is refused, or nil. Each call counts as one
// connection.
func (g *Guard) Check(ip netip.Addr) error {
	g.mtx.RLock()
	admission := g.admission
	g.mtx.RUnlock()
	if admission == nil {
		return nil
	}

	return admission.AdmitConn(ip.AsSlice())
}

// IsBan reports whether a host is refused for its conduct, and not only because it would get no
// slot.
func IsBan(refusal error) bool {
	reject, ok := errors.AsType[*compat.RejectError](refusal)

	return ok && reject.Code == compat.RejectBanned
}
