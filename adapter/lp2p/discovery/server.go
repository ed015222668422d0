package discovery

import (
	"io"
	"net/netip"
	"sync"
	"time"

	p2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	// maxRequest bounds a query in bytes: a key of 38 bytes, and a type.
	maxRequest = 256
	// maxRequests is how many queries one stream brings. A lookup sends one to each
	// peer.
	maxRequests = 32

	// maxServed, maxServedPerHost and maxServedPerPeer bound the streams that are served
	// at a time.
	maxServed, maxServedPerHost, maxServedPerPeer = 256, 32, 8

	// serveTimeout is how long a stream may take to bring its first query, and
	// betweenTimeout each further one; kad-dht's own limit of a minute is generous.
	serveTimeout   = 15 * time.Second
	betweenTimeout = 5 * time.Second
)

// server bounds what queries of others may cost before kad-dht sees them.
type server struct {
	d       *Discovery
	limiter *rate.Limiter // streams of each IP

	mtx     sync.Mutex
	opened  bool
	streams map[*guardedStream]struct{}
	perPeer map[peer.ID]int
	perHost map[netip.Prefix]int
	serving sync.WaitGroup
}

func newServer(d *Discovery) *server {
	return &server{
		d: d, streams: make(map[*guardedStream]struct{}),
		perPeer: make(map[peer.ID]int), perHost: make(map[netip.Prefix]int),
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
func (s *server) open(h p2phost.Host, id protocol.ID, handler network.StreamHandler) {
	s.mtx.Lock()
	s.opened = true
	s.mtx.Unlock()
	h.SetStreamHandler(id, s.limiter.Limit(func(stream network.Stream) { s.serve(stream, handler) }))
}

// shut ends serving. When it returns, the protocol is not announced, all streams are
// reset, and their handlers have returned.
func (s *server) shut(h p2phost.Host, id protocol.ID) {
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
	g := &guardedStream{
		Stream: stream, s: s, from: stream.Conn().RemotePeer(), host: remoteHost(stream.Conn()), waiting: time.Now(),
	}
	if s.d.records.isRefused(g.from, time.Now()) || !s.begin(g) {
		_ = stream.ResetWithError(network.StreamResourceLimitExceeded) // all the answer there is

		return
	}
	defer s.end(g)
	release, ok := s.d.t.Hold(stream.Conn())
	if !ok {
		_ = stream.Reset() // the connection is being closed

		return
	}
	defer release()
	handler(g)
}

// remoteHost returns the host of a remote. It is not valid on loopback, which all
// processes of this machine share, and behind a relay.
func remoteHost(c network.Conn) netip.Prefix {
	at, _ := endpointOf(c.RemoteMultiaddr())
	if ip := at.Addr(); ip.IsValid() && !ip.IsLoopback() {
		return netgroup.Host(ip)
	}

	return netip.Prefix{}
}

func (s *server) begin(g *guardedStream) bool {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if !s.opened || s.perPeer[g.from] >= maxServedPerPeer || g.host.IsValid() && s.perHost[g.host] >= maxServedPerHost {
		return false
	}
	if len(s.streams) >= maxServed && !s.makeRoom() {
		return false
	}
	s.streams[g] = struct{}{}
	s.perPeer[g.from]++
	s.perHost[g.host]++
	s.serving.Add(1)

	return true
}

// makeRoom ends the stream that has waited longest for a query. An honest remote sends
// its query at once. The caller holds the lock.
func (s *server) makeRoom() bool {
	var longest *guardedStream
	for g := range s.streams {
		if !g.waiting.IsZero() && (longest == nil || g.waiting.Before(longest.waiting)) {
			longest = g
		}
	}
	if longest == nil {
		return false
	}
	s.forget(longest)
	_ = longest.ResetWithError(network.StreamResourceLimitExceeded) // its handler ends

	return true
}

func (s *server) end(g *guardedStream) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	s.forget(g)
	s.serving.Done()
}

// forget gives the place of a stream to others. The caller holds the lock.
func (s *server) forget(g *guardedStream) {
	if _, there := s.streams[g]; !there {
		return
	}
	delete(s.streams, g)
	uncount(s.perPeer, g.from)
	uncount(s.perHost, g.host)
}

// uncount takes one from the count of the key.
func uncount[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// await notes whether a stream waits for a query.
func (s *server) await(g *guardedStream, since time.Time) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	g.waiting = since
}

// guardedStream gives kad-dht one whole query at a time, and only so many. kad-dht
// allocates what a length prefix announces, up to 4 MiB; here it has arrived, and
// is small.
type guardedStream struct {
	network.Stream
	s    *server
	from peer.ID
	host netip.Prefix
	rest []byte
	n    int

	waiting time.Time // since when, for a query; zero while one is answered; guarded by server.mtx
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
	now, timeout := time.Now(), serveTimeout
	if g.n > 0 {
		timeout = betweenTimeout
		g.s.await(g, now)
	}
	if err := g.SetDeadline(now.Add(timeout)); err != nil {
		return err
	}
	body, err := wire.ReadSized(g.Stream, maxRequest)
	if err != nil {
		return err
	}
	g.s.await(g, time.Time{})
	g.n++
	g.s.d.counters.add(&g.s.d.counters.QueriesServed, 1)
	g.rest = wire.AppendSized(nil, body)

	return nil
}
