package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	// queryTimeout bounds one query, the connection not included.
	queryTimeout = 10 * time.Second
	// maxResponse bounds a response in bytes: twice the peers that an honest one
	// names, each with a dozen addresses.
	maxResponse = 64 << 10
	// maxResponsePeers is how many peers of a response are looked at: a bucket, and
	// the peer that was asked for.
	maxResponsePeers = bucketSize + 1
)

var (
	errNotAQuery = errors.New("only FIND_NODE and PING are sent")
	errStopping  = errors.New("discovery has stopped")
)

// sender sends the queries of kad-dht, each on its own stream. Unlike the sender of
// kad-dht it reads at most maxResponse bytes, releases the connection after the query,
// and leaves no goroutine behind.
type sender struct{ d *Discovery }

var _ dhtpb.MessageSenderWithDisconnect = (*sender)(nil)

// OnDisconnect implements dhtpb.MessageSenderWithDisconnect: nothing is kept.
func (*sender) OnDisconnect(context.Context, peer.ID) {}

// SendMessage implements dhtpb.MessageSender. Messages without an answer belong to
// records, which this DHT has not.
func (*sender) SendMessage(context.Context, peer.ID, *dhtpb.Message) error { return errNotAQuery }

// SendRequest implements dhtpb.MessageSender.
func (s *sender) SendRequest(ctx context.Context, p peer.ID, req *dhtpb.Message) (*dhtpb.Message, error) {
	if t := req.GetType(); t != dhtpb.Message_FIND_NODE && t != dhtpb.Message_PING {
		return nil, errNotAQuery
	}
	if !s.d.tasks.Enter() {
		return nil, errStopping
	}
	defer s.d.tasks.Leave()
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	defer context.AfterFunc(s.d.ctx, cancel)()

	resp, conn, err := s.ask(ctx, p, req)
	if stream.IsLost(err) && ctx.Err() == nil {
		// A session may have ended on the connection, which closes it.
		resp, conn, err = s.ask(ctx, p, req)
	}
	if err != nil {
		s.d.counters.add(&s.d.counters.QueriesFailed, 1)

		return nil, fmt.Errorf("query to %s: %w", p, err)
	}
	s.d.counters.add(&s.d.counters.QueriesSent, 1)
	s.d.records.noteAnswer(p, time.Now())
	s.d.noteConn(conn)
	s.d.remember(p)
	s.d.checkSoon(p)
	from, _ := endpointOf(conn.RemoteMultiaddr())
	s.d.noteTold(p, from.Addr(), s.d.sanitize(resp, from.Addr()))

	return resp, nil
}

// ask sends one query. It returns the connection on which the peer answered, too.
func (s *sender) ask(ctx context.Context, p peer.ID, req *dhtpb.Message) (*dhtpb.Message, network.Conn, error) {
	done, err := s.d.pool.acquire(ctx, p)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	st, err := stream.OpenTo(ctx, s.d.t.Host(), p, s.d.proto)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = st.Reset() }) // ends what waits on it
	defer stop()

	resp, err := exchange(st, req)
	if err != nil {
		_ = st.Reset() // it has failed already

		return nil, nil, err
	}
	_ = st.Close() // both sides are done

	return resp, st.Conn(), nil
}

func exchange(st io.ReadWriter, req *dhtpb.Message) (*dhtpb.Message, error) {
	body, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	if _, err := st.Write(wire.AppendSized(nil, body)); err != nil {
		return nil, fmt.Errorf("unable to send it: %w", err)
	}
	if body, err = wire.ReadSized(st, maxResponse); err != nil {
		return nil, fmt.Errorf("unable to read the answer: %w", err)
	}
	resp := new(dhtpb.Message)
	if err := proto.Unmarshal(body, resp); err != nil {
		return nil, fmt.Errorf("unable to decode the answer: %w", err)
	}
	if resp.GetType() != req.GetType() {
		return nil, fmt.Errorf("answer of type %s to %s", resp.GetType(), req.GetType())
	}

	return resp, nil
}

// sanitize removes from a response what is not believed, and returns the addresses that
// remain. At most maxResponsePeers peers remain, each with a TM2 ID and at least one
// address that a remote at this IP may tell. This node, private peers and refused peers
// are removed.
func (d *Discovery) sanitize(resp *dhtpb.Message, from netip.Addr) (told []*types.NetAddress) {
	resp.ProviderPeers, resp.Record = nil, nil
	count := len(resp.CloserPeers)
	if len(resp.CloserPeers) > maxResponsePeers {
		resp.CloserPeers = resp.CloserPeers[:maxResponsePeers]
	}
	kept := resp.CloserPeers[:0]
	for _, entry := range resp.CloserPeers {
		if entry == nil {
			continue
		}
		p := peer.ID(entry.GetId())
		if p == d.self || d.unwanted(p) {
			continue
		}
		id, err := d.ids.of(p)
		if err != nil {
			continue
		}
		var endpoints []netip.AddrPort
		if entry.Addrs, endpoints = d.believable(entry.GetAddrs(), from); len(entry.Addrs) == 0 {
			continue
		}
		for _, at := range endpoints {
			addr := netAddress(id, at)
			told = append(told, &addr)
		}
		kept = append(kept, entry)
	}
	d.counters.add(&d.counters.PeersDropped, count-len(kept))
	resp.CloserPeers = kept

	return told
}

// believable returns the addresses that a remote at this IP may tell, and their
// endpoints. It looks at the first 4*maxAddrs addresses and returns at most maxAddrs.
func (d *Discovery) believable(raw [][]byte, from netip.Addr) (kept [][]byte, endpoints []netip.AddrPort) {
	raw = raw[:min(len(raw), 4*maxAddrs)]
	for _, b := range raw {
		a, err := multiaddr.NewMultiaddrBytes(b)
		if err != nil {
			continue
		}
		if at, ok := d.filter.parse(a); ok && netgroup.MayTell(at.Addr(), from) && len(kept) < maxAddrs {
			kept, endpoints = append(kept, b), append(endpoints, at)
		}
	}

	return kept, endpoints
}

// unwanted reports whether the peer must stay out of the DHT: it is private, refused,
// or has no TM2 ID.
func (d *Discovery) unwanted(p peer.ID) bool {
	id, err := d.ids.of(p)

	return err != nil || d.isPrivate(id) || d.records.isRefused(p, time.Now())
}

// mayTell reports whether others may be told of the peer. The peer must take part as a
// server of the DHT, and must not be unwanted.
func (d *Discovery) mayTell(p peer.ID) bool {
	if d.unwanted(p) {
		return false
	}
	if table := d.table.Load(); table != nil && table.Find(p) != "" || d.records.isAlive(p, time.Now()) {
		return true
	}
	// An error means that nothing is known of the peer.
	spoken, err := d.t.Host().Peerstore().FirstSupportedProtocol(p, d.proto)

	return err == nil && spoken != ""
}
