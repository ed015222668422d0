package pex

import (
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	// maxAddresses is how many addresses a response may have (docs/wire.md §6).
	maxAddresses = 30

	// maxAddressLen is the longest address that nodes send: an ID of 40 bytes, an
	// IPv6 address of 39 in brackets, and a port.
	maxAddressLen = 40 + len("@[") + 39 + len("]:65535")

	// maxMessageSize is what 30 such addresses need, each with a tag and a length
	// of a byte, behind the type URL and the tag and length of the value.
	maxMessageSize = 2 + len("/p2p.Response") + 1 + 2 + maxAddresses*(2+maxAddressLen)
)

// Receive implements compat.Reactor. It does not wait for anything.
func (r *Reactor) Receive(_ byte, peer compat.PeerConn, msg []byte) {
	st := stateOf(peer)
	if st == nil {
		return
	}
	if len(msg) > maxMessageSize {
		r.invalid(peer, st, fmt.Errorf("%w: %d bytes", ErrMessageTooLarge, len(msg)))

		return
	}
	texts, isRequest, err := wire.DecodeDiscovery(msg)
	switch {
	case err != nil:
		r.invalid(peer, st, err)
	case isRequest:
		r.receiveRequest(peer, st)
	default:
		r.receiveResponse(peer, st, texts)
	}
}

func (r *Reactor) receiveRequest(peer compat.PeerConn, st *peerState) {
	if !st.mayAsk(time.Now()) {
		r.count(&r.stats.RequestsLimited, 1)

		return
	}
	r.count(&r.stats.RequestsReceived, 1)
	addrs := r.selection(peer)
	if len(addrs) == 0 {
		return // a response without addresses is not valid
	}
	// An answer that finds no place in the queue is lost: the peer asks again.
	if peer.TrySend(Channel, wire.AppendResponse(nil, addrs)) {
		r.count(&r.stats.ResponsesSent, 1)
	}
}

// receiveResponse takes all addresses of a response or none.
func (r *Reactor) receiveResponse(peer compat.PeerConn, st *peerState, texts []string) {
	ok, late := st.answered(time.Now())
	if !ok {
		r.drop(peer, st, late)

		return
	}
	addrs := make([]*types.NetAddress, 0, len(texts))
	for _, text := range texts {
		addr, err := types.ParseNetAddress(text)
		if err == nil {
			err = addr.Validate()
		}
		if err != nil {
			r.invalid(peer, st, fmt.Errorf("%w: %w", ErrInvalidAddress, err))

			return
		}
		addr.ID = addr.ID.Canonical() // one peer is one entry, and private under every form of its ID
		addrs = append(addrs, addr)
	}
	r.count(&r.stats.ResponsesReceived, 1)
	r.count(&r.stats.AddressesReceived, len(addrs))
	r.learn(peer, addrs)
}

// drop counts a response that answers nothing. A late one is no offence: the
// network may have been slow.
func (r *Reactor) drop(peer compat.PeerConn, st *peerState, late bool) {
	if late {
		r.count(&r.stats.ResponsesLate, 1)

		return
	}
	r.count(&r.stats.ResponsesUnrequested, 1)
	r.offence(peer, st, ErrNotRequested)
}

// learn keeps the addresses as hints of the peer and has them dialed. Of several
// addresses with the same endpoint the first counts, so that no host is flooded with
// dials for made-up IDs.
func (r *Reactor) learn(peer compat.PeerConn, addrs []*types.NetAddress) {
	hints := make([]*types.NetAddress, 0, len(addrs))
	seen := make(map[string]bool, len(addrs))
	for _, addr := range addrs {
		where := addr.DialString()
		if seen[where] || !addr.Dialable() || !r.mayDial(addr, peer) || !r.book.Wants(addr) {
			continue
		}
		seen[where] = true
		hints = append(hints, addr)
	}
	r.count(&r.stats.AddressesSkipped, len(addrs)-len(hints))
	added := r.book.Add(addrbook.Source{ID: peer.ID(), IP: remoteIP(peer)}, hints...)
	r.count(&r.stats.AddressesAdded, added)
	if hints = r.book.Dialable(hints); len(hints) == 0 {
		return
	}
	if sw, ok := r.Switch.(compat.HintDialer); ok {
		sw.DialHints(peer.ID(), hints...)
	} else {
		r.Switch.DialPeers(hints...)
	}
}

// invalid drops a message for its size or content.
func (r *Reactor) invalid(peer compat.PeerConn, st *peerState, reason error) {
	r.count(&r.stats.Invalid, 1)
	r.offence(peer, st, reason)
}

// offence counts a message that no honest peer sends, and stops a peer that sends too
// many.
func (r *Reactor) offence(peer compat.PeerConn, st *peerState, reason error) {
	count, first := st.offend(time.Now())
	if first {
		r.Logger.Warn("discovery message dropped, further ones of the peer are only counted",
			"peer", peer.ID(), "channel", Channel, "err", reason)
	}
	if count < maxOffences {
		return
	}
	r.count(&r.stats.PeersStopped, 1)
	r.Switch.StopPeerForError(peer, &AbuseError{Peer: peer.ID(), Count: count, Window: offenceWindow, Last: reason})
}
