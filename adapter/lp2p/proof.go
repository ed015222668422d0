package lp2p

import (
	"context"
	"net"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxKnownPeers bounds how many peers a transport remembers by TM2 ID.
const maxKnownPeers = 8192

// knownPeer is what a transport has learned of a TM2 ID. The peer ID follows from the
// key: it cannot become wrong.
type knownPeer struct {
	id peer.ID
	at string // where it was asked and answered last, as it was dialed; empty if nowhere
}

// learn remembers the peer ID behind a TM2 ID.
func (t *Transport) learn(id types.ID, p peer.ID) { t.learnAt(id, p, "") }

// learnAt is learn for a peer that has proved its ID at an address.
func (t *Transport) learnAt(id types.ID, p peer.ID, at string) {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	old, ok := t.known[id]
	if !ok && len(t.known) >= maxKnownPeers {
		for other := range t.known {
			delete(t.known, other)

			break
		}
	}
	if at == "" {
		at = old.at
	}
	t.known[id] = knownPeer{id: p, at: at}
}

func (t *Transport) knownPeer(id types.ID) (peer.ID, bool) {
	t.mtx.Lock()
	defer t.mtx.Unlock()
	known, ok := t.known[id]

	return known.id, ok
}

func (t *Transport) provedAt(addr types.NetAddress) bool {
	t.mtx.Lock()
	defer t.mtx.Unlock()

	return t.known[addr.ID].at == dialString(addr)
}

// lookUp returns the peer ID behind the address's TM2 ID: the one we know, or that
// of who answers at the address, if it is the right one.
func (t *Transport) lookUp(ctx context.Context, addr types.NetAddress) (peer.ID, error) {
	if id, ok := t.knownPeer(addr.ID); ok {
		return id, nil
	}

	return t.ask(ctx, addr)
}

// ask finds out who answers at the address, which has to be who it asks for.
func (t *Transport) ask(ctx context.Context, addr types.NetAddress) (peer.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, t.opts.timeouts.Dial)
	defer cancel()
	dial := t.opts.dialTCP
	if dial == nil {
		dial = (&net.Dialer{Control: t.gater.control}).DialContext
	}
	id, err := probeIdentity(ctx, dial, dialString(addr))
	if err == nil {
		err = checkFound(addr, id)
	}
	t.metrics.probes.count(outcomeOf(err))
	if err != nil {
		return "", err
	}
	t.learnAt(addr.ID, id, dialString(addr))

	return id, nil
}

// checkFound returns a *WrongIDError unless found is who the address asks for.
func checkFound(addr types.NetAddress, found peer.ID) error {
	id, err := TM2ID(found)
	if err != nil || id != addr.ID {
		return &WrongIDError{Addr: addr.DialString(), Asked: addr.ID, Found: id, FoundPeer: found}
	}

	return nil
}

// prove makes sure that the peer answers at the address when the connection does not
// show it: one that the peer has opened comes from anywhere. Whoever is told that the
// peer was dialed there, as an address book, may tell it to others.
func (t *Transport) prove(ctx context.Context, c network.Conn, addr types.NetAddress) error {
	if c.Stat().Direction != network.DirInbound || t.met(c) || t.provedAt(addr) {
		return nil
	}
	if ip, port, ok := endpoint(c.RemoteMultiaddr()); ok && port == addr.Port && ip.Equal(addr.IP) {
		return nil // over QUIC it is the listener's
	}
	_, err := t.ask(ctx, addr)

	return err
}
