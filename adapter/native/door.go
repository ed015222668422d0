package native

import (
	"net"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// door asks the switch whether an inbound connection is worth a handshake. The
// zero value lets everybody in. All methods may be called concurrently.
type door struct {
	mtx      sync.Mutex
	keeper   compat.ConnAdmission // nil: nobody to ask
	refusing bool                 // the last connection was refused
	refused  uint64
}

// assign sets who is asked from now on.
func (d *door) assign(behavior compat.PeerBehavior) {
	keeper, _ := behavior.(compat.ConnAdmission)

	d.mtx.Lock()
	defer d.mtx.Unlock()
	d.keeper = keeper
}

// ask returns why nobody from the IP may come in, or nil, and whether the
// connection before was refused, too.
func (d *door) ask(ip net.IP) (again bool, err error) {
	d.mtx.Lock()
	keeper := d.keeper
	d.mtx.Unlock()
	if keeper == nil {
		return false, nil
	}
	err = keeper.AdmitConn(ip)

	d.mtx.Lock()
	defer d.mtx.Unlock()
	again, d.refusing = d.refusing, err != nil
	if err != nil {
		d.refused++
	}

	return again, err
}

// ConnsRefused counts the inbound connections that were closed before their
// handshake because the switch would have let nobody in.
func (mt *MultiplexTransport) ConnsRefused() uint64 {
	mt.door.mtx.Lock()
	defer mt.door.mtx.Unlock()

	return mt.door.refused
}
