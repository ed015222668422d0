package lp2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// RelayedProtocol asks a relay for the key of a node by its TM2 ID (docs/nat.md §4).
const RelayedProtocol protocol.ID = "/tm2/relayed/1"

const (
	idLength = 40 // bytes of a TM2 ID in its text form

	// Tags of go-libp2p's services on peers: of a relay on its clients and on the ends of
	// circuits, and of a client on its relays.
	tagReservation = "relay-reservation"
	tagRelayHop    = "relay-v2-hop"
	tagHopStream   = "relay-hop-stream"
	protectRelay   = "autorelay"

	// relayBuffer is the buffer of a relayed connection in bytes; libp2p's default.
	relayBuffer = 2048
	// reservationTTL is how long a reservation lasts unless the client renews it;
	// libp2p's default.
	reservationTTL = time.Hour
)

// RelayLimits bounds what a relay does for other nodes.
type RelayLimits struct {
	// Reservations and ReservationsPerIP bound the nodes that are reached through the
	// relay.
	Reservations, ReservationsPerIP int
	// Circuits bounds the relayed connections of one node at a time.
	Circuits int
	// CircuitDuration bounds one relayed connection, and CircuitBytes each direction of
	// it. Two nodes that meet need some seconds and kilobytes.
	CircuitDuration time.Duration
	CircuitBytes    int64
}

// DefaultRelayLimits returns those of go-libp2p: 128 reservations, 8 for each IP, and
// 16 circuits for each node, each for 2 minutes and 128 KiB.
func DefaultRelayLimits() RelayLimits {
	return RelayLimits{
		Reservations: 128, ReservationsPerIP: 8, Circuits: 16,
		CircuitDuration: 2 * time.Minute, CircuitBytes: 128 << 10,
	}
}

// Validate names the first field that is not positive. CircuitDuration is at least a
// second, the unit in which the remote is told.
func (l RelayLimits) Validate() error {
	return positive([]field{
		{"Reservations", int64(l.Reservations)}, {"ReservationsPerIP", int64(l.ReservationsPerIP)},
		{"Circuits", int64(l.Circuits)},
		{"CircuitDuration (in seconds)", int64(l.CircuitDuration / time.Second)}, {"CircuitBytes", l.CircuitBytes},
	})
}

func (l RelayLimits) resources() relay.Resources {
	return relay.Resources{
		Limit:           &relay.RelayLimit{Duration: l.CircuitDuration, Data: l.CircuitBytes},
		ReservationTTL:  reservationTTL,
		MaxReservations: l.Reservations, MaxReservationsPerIP: l.ReservationsPerIP,
		MaxReservationsPerASN: l.Reservations,
		MaxCircuits:           l.Circuits, BufferSize: relayBuffer,
	}
}

// relayACL decides which peers the relay serves.
type relayACL struct{ n *natOptions }

var _ relay.ACLFilter = relayACL{}

// AllowReserve implements relay.ACLFilter. A private peer gets no reservation, so that the
// relay answers for it as for an unknown node.
func (a relayACL) AllowReserve(p peer.ID, _ multiaddr.Multiaddr) bool {
	select {
	case <-a.n.bound:
	default:
		return false // nothing listens yet
	}
	id, err := p2paddr.TM2ID(p)
	if err != nil || a.n.t.isPrivatePeer(id) {
		return false
	}
	_, err = p2paddr.Learn(a.n.t.book, p)

	return err == nil
}

// AllowConnect implements relay.ACLFilter. It refuses a private peer, which may have
// reserved before the switch named the private peers.
func (a relayACL) AllowConnect(_ peer.ID, _ multiaddr.Multiaddr, dest peer.ID) bool {
	id, err := p2paddr.TM2ID(dest)

	return err == nil && !a.n.t.isPrivatePeer(id)
}

// relaySource resolves the configured relays for libp2p, concurrently, so that none delays
// the others. It waits for Listen: a relay should see the listening port, to which holes
// are punched. The host ends ctx.
func (n *natOptions) relaySource(ctx context.Context, num int) <-chan peer.AddrInfo {
	found := make(chan peer.AddrInfo, len(n.relays))
	go func() {
		defer close(found)
		select {
		case <-n.listening:
			n.t.resolveRelays(ctx, n.relays[:min(num, len(n.relays))], found)
		case <-ctx.Done():
		}
	}()

	return found
}

// resolveRelays sends the addresses of the relays to found, which has room for all.
func (t *Transport) resolveRelays(ctx context.Context, relays []types.NetAddress, found chan<- peer.AddrInfo) {
	if t.enter() != nil {
		return
	}
	defer t.tasks.Done()
	var resolved sync.WaitGroup
	for _, addr := range relays {
		resolved.Go(func() {
			info, err := inner{t}.Resolve(ctx, addr)
			if err != nil {
				t.logger.Warn("relay was not found", "relay", addr.String(), "err", err)

				return
			}
			found <- info
		})
	}
	resolved.Wait()
}

// answerRelayed answers with the key of a node that has a reservation here.
func (t *Transport) answerRelayed(s network.Stream) error {
	var raw [idLength]byte
	if _, err := io.ReadFull(s, raw[:]); err != nil {
		return fmt.Errorf("unable to read the ID: %w", err)
	}
	id := types.ID(raw[:])
	if err := id.Validate(); err != nil {
		return err
	}
	key, ok := t.relayedKey(id)
	if !ok {
		return nil // an answer without a key
	}
	_, err := s.Write(key)

	return err
}

// relayedKey returns the key of a node with a reservation.
func (t *Transport) relayedKey(id types.ID) (ed25519.PublicKey, bool) {
	p, ok := p2paddr.Known(t.book, id)
	if !ok || t.isPrivatePeer(id) || !t.tagged(p, tagReservation) {
		return nil, false
	}
	key, err := p2paddr.PublicKey(p)

	return key, err == nil
}

func (t *Transport) tagged(p peer.ID, tags ...string) bool {
	info := t.host.ConnManager().GetTagInfo(p)

	return info != nil && slices.ContainsFunc(tags, func(tag string) bool { return info.Tags[tag] != 0 })
}

// carriesCircuits reports whether connections to the peer are used for relaying, so that the
// end of a session does not close them.
func (t *Transport) carriesCircuits(p peer.ID) bool {
	n := &t.opts.nat
	if !n.circuits && n.relayService == nil {
		return false
	}

	return t.tagged(p, tagReservation, tagRelayHop, tagHopStream) || t.host.ConnManager().IsProtected(p, protectRelay)
}

// errNotRelayed is returned for a node that the relay does not know.
var errNotRelayed = errors.New("node has no reservation at the relay")

// askRelay asks the relay on the connection for the peer ID behind a TM2 ID. The answer is
// a key, from which the TM2 ID follows.
func (t *Transport) askRelay(ctx context.Context, c network.Conn, id types.ID) (peer.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, t.opts.timeouts.Handshake)
	defer cancel()
	s, err := stream.Open(ctx, c, RelayedProtocol)
	if err != nil {
		return "", err
	}
	defer s.Reset()
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(stream.LongAgo) })
	defer stop()

	if _, err := s.Write([]byte(id)); err != nil {
		return "", fmt.Errorf("unable to ask the relay: %w", err)
	}
	key := make(ed25519.PublicKey, ed25519.PublicKeySize)
	if _, err := io.ReadFull(s, key); err != nil && stream.IsEnd(err) {
		return "", errNotRelayed
	} else if err != nil {
		return "", fmt.Errorf("unable to read the relay's answer: %w", err)
	}
	if types.IDFromPublicKey(key) != id {
		return "", control.Violation("relay answered with the key of %s when asked for %s", types.IDFromPublicKey(key), id)
	}

	return p2paddr.PeerIDFromPublicKey(key)
}
