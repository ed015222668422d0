package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	dhtpb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
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

	var resp *dhtpb.Message
	conn, err := s.d.pool.stream(ctx, p, s.d.proto, func(st network.Stream) (err error) {
		resp, err = exchange(st, req)

		return err
	})
	if err != nil {
		s.d.counters.add(&s.d.counters.QueriesFailed, 1)

		return nil, fmt.Errorf("query to %s: %w", p, err)
	}
	s.d.counters.add(&s.d.counters.QueriesSent, 1)
	s.d.records.noteAnswer(p, time.Now())
	s.d.noteConn(conn)
	if s.d.records.of(p).wasOurs() {
		s.d.noteFound(p)
	}
	s.d.checkSoon(p)
	from, _ := p2paddr.AddrPort(conn.RemoteMultiaddr())
	s.d.believe(p, from.Addr(), resp)

	return resp, nil
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
