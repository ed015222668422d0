package pex

import (
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

const (
	// responseTimeout is how long a request may be answered. The network is much
	// faster; a peer that is this late is busy or hoards its answers.
	responseTimeout = 30 * time.Second
	// maxAsked bounds the requests that are remembered. With the interval of TM2
	// no more than 11 can be answered in time.
	maxAsked = 16

	// A peer may ask requestBurst times at once and then once in
	// requestInterval. TM2 nodes ask right after dialing, and then every 3 s at
	// most, at times that have nothing to do with it.
	requestInterval = time.Second
	requestBurst    = 3

	// A peer with maxOffences within offenceWindow is stopped.
	maxOffences   = 20
	offenceWindow = time.Minute
)

// stateKey is where the state of a connection is kept (compat.PeerConn.Set).
const stateKey = "pex.state"

// peerState is what the reactor knows of one connection.
type peerState struct {
	mtx      sync.Mutex
	asked    []time.Time // requests without answer, the oldest first
	requests int         // that the peer may still make
	refilled time.Time   // when requests last grew
	offences []time.Time // within the window, the oldest first
}

func newPeerState(now time.Time) *peerState {
	return &peerState{requests: requestBurst, refilled: now}
}

// stateOf returns the state that InitPeer gave to the peer, or nil.
func stateOf(peer compat.PeerConn) *peerState {
	st, _ := peer.Get(stateKey).(*peerState)

	return st
}

// ask notes a request. It is called before the request is sent, since the answer
// may be faster than the return of TrySend.
func (st *peerState) ask(now time.Time) {
	st.mtx.Lock()
	defer st.mtx.Unlock()
	for len(st.asked) > 0 && (now.Sub(st.asked[0]) > responseTimeout || len(st.asked) == maxAsked) {
		st.asked = st.asked[1:]
	}
	st.asked = append(st.asked, now)
}

// unask takes back the newest request, which found no place in the queue.
func (st *peerState) unask() {
	st.mtx.Lock()
	defer st.mtx.Unlock()
	if n := len(st.asked); n > 0 {
		st.asked = st.asked[:n-1]
	}
}

// answered settles the oldest request that may still be answered. It reports
// whether there was one, and if not, whether there was one that is too old.
func (st *peerState) answered(now time.Time) (ok, late bool) {
	st.mtx.Lock()
	defer st.mtx.Unlock()
	for len(st.asked) > 0 {
		age := now.Sub(st.asked[0])
		st.asked = st.asked[1:]
		if age <= responseTimeout {
			return true, false
		}
		late = true
	}

	return false, late
}

// mayAsk reports whether the peer's request is within its rate, and counts it.
func (st *peerState) mayAsk(now time.Time) bool {
	st.mtx.Lock()
	defer st.mtx.Unlock()
	if n := now.Sub(st.refilled) / requestInterval; n > 0 {
		st.requests = int(min(time.Duration(st.requests)+n, requestBurst))
		st.refilled = st.refilled.Add(n * requestInterval)
	}
	if st.requests == 0 {
		return false
	}
	st.requests--

	return true
}

// offend counts an offence. It reports how many there are within the window, and
// whether this one is the first of the connection.
func (st *peerState) offend(now time.Time) (count int, first bool) {
	st.mtx.Lock()
	defer st.mtx.Unlock()
	first = len(st.offences) == 0 // the last one always stays
	for len(st.offences) > 0 && (now.Sub(st.offences[0]) > offenceWindow || len(st.offences) == maxOffences) {
		st.offences = st.offences[1:]
	}
	st.offences = append(st.offences, now)

	return len(st.offences), first
}
