package discovery

import (
	"io"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	// maxRequest bounds a query in bytes: a key of 38 bytes, and a type.
	maxRequest = 256
	// maxRequests is how many queries one stream brings. A lookup sends one to each
	// peer.
	maxRequests = 32

	// maxServed and maxServedPerPeer bound the streams that are served at a time.
	maxServed, maxServedPerPeer = 256, 8

	// serveTimeout is how long a stream may stay between two queries; kad-dht's own
	// limit of a minute is generous.
	serveTimeout = 15 * time.Second
)

// server bounds what queries of others may cost before kad-dht sees them.
type server struct {
	d       *Discovery
	limiter *rate.Limiter // streams of each IP

	mtx     sync.Mutex
	opened  bool
	streams map[network.Stream]struct{}
	perPeer map[peer.ID]int
	serving sync.WaitGroup
}

func newServer(d *Discovery) *server {
	return &server{
		d: d, streams: make(map[network.Stream]struct{}), perPeer: make(map[peer.ID]int),
		limiter: &rate.Limiter{
			GlobalLimit: rate.Limit{RPS: 1000, Burst: 2000},
			NetworkPrefixLimits: []rate.PrefixLimit{
				{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, // no limit
				{Prefix: netip.MustParsePrefix("::1/128")},
			},
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 16, Burst: 256}}},
				IPv6SubnetLimits: []rate.SubnetLimit{
					{PrefixLength: 64, Limit: rate.Limit{RPS: 16, Burst: 256}},
					{PrefixLength: 48, Limit: rate.Limit{RPS: 128, Burst: 1024}},
				},
				GracePeriod: time.Minute,
			},
		},
	}
}

// open begins to serve the protocol.
func (s *server) open(h host.Host, id protocol.ID, handler network.StreamHandler) {
	s.mtx.Lock()
	s.opened = true
	s.mtx.Unlock()
	h.SetStreamHandler(id, s.limiter.Limit(func(stream network.Stream) { s.serve(stream, handler) }))
}

// shut ends serving: the protocol is not announced any more, streams that are
// served are reset, and their handlers have returned.
func (s *server) shut(h host.Host, id protocol.ID) {
	h.RemoveStreamHandler(id)
	s.mtx.Lock()
	s.opened = false
	for stream := range s.streams {
		_ = stream.Reset() // whether it has ended by itself does not matter
	}
	s.mtx.Unlock()
	s.serving.Wait()
}

// serve runs kad-dht's handler on a stream of a remote, on the goroutine that
// libp2p has made for it.
func (s *server) serve(stream network.Stream, handler network.StreamHandler) {
	from := stream.Conn().RemotePeer()
	if s.d.book.isRefused(from, time.Now()) || !s.begin(stream, from) {
		_ = stream.ResetWithError(network.StreamResourceLimitExceeded) // all the answer there is

		return
	}
	defer s.end(stream, from)
	release, ok := s.d.t.Hold(stream.Conn())
	if !ok {
		_ = stream.Reset() // the connection is being closed

		return
	}
	defer release()
	handler(&guardedStream{Stream: stream, d: s.d})
}

func (s *server) begin(stream network.Stream, from peer.ID) bool {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if !s.opened || len(s.streams) >= maxServed || s.perPeer[from] >= maxServedPerPeer {
		return false
	}
	s.streams[stream] = struct{}{}
	s.perPeer[from]++
	s.serving.Add(1)

	return true
}

func (s *server) end(stream network.Stream, from peer.ID) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	delete(s.streams, stream)
	if s.perPeer[from]--; s.perPeer[from] == 0 {
		delete(s.perPeer, from)
	}
	s.serving.Done()
}

// guardedStream gives kad-dht one whole query at a time, and only so many. kad-dht
// allocates what a length prefix announces, up to 4 MiB; here it has arrived, and
// is small.
type guardedStream struct {
	network.Stream
	d    *Discovery
	rest []byte
	n    int
}

// Read implements io.Reader. An end between two queries is io.EOF, as is one query
// too many.
func (g *guardedStream) Read(p []byte) (int, error) {
	if len(g.rest) == 0 {
		if err := g.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]

	return n, nil
}

func (g *guardedStream) next() error {
	if g.n == maxRequests {
		return io.EOF // the last answer is on its way: no reset
	}
	if err := g.SetDeadline(time.Now().Add(serveTimeout)); err != nil {
		return err
	}
	body, err := wire.ReadSized(g.Stream, maxRequest)
	if err != nil {
		return err
	}
	g.n++
	g.d.counters.queriesServed.Add(1)
	g.rest = wire.AppendSized(nil, body)

	return nil
}
