package discovery

import (
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	p2phost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/p2paddr"
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
	serving sync.WaitGroup
}

func newServer(d *Discovery) *server {
	return &server{
		d: d, streams: make(map[*guardedStream]struct{}),
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
		Stream: stream, s: s, from: stream.Conn().RemotePeer(), host: remoteHost(stream.Conn()),
	}
	g.waiting.Store(time.Now().UnixNano())
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
	at, _ := p2paddr.AddrPort(c.RemoteMultiaddr())
	if ip := at.Addr(); ip.IsValid() && !ip.IsLoopback() {
		return netgroup.Host(ip)
	}

	return netip.Prefix{}
}

func (s *server) begin(g *guardedStream) bool {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	ofPeer, ofHost := 0, 0
	for other := range s.streams {
		if other.from == g.from {
			ofPeer++
		}
		if g.host.IsValid() && other.host == g.host {
			ofHost++
		}
	}
	if !s.opened || ofPeer >= maxServedPerPeer || ofHost >= maxServedPerHost || len(s.streams) >= maxServed && !s.makeRoom() {
		return false
	}
	s.streams[g] = struct{}{}
	s.serving.Add(1)

	return true
}

// makeRoom ends the stream that has waited longest for a query. An honest remote sends
// its query at once. The caller holds the lock.
func (s *server) makeRoom() bool {
	var (
		longest *guardedStream
		since   int64
	)
	for g := range s.streams {
		if at := g.waiting.Load(); at != 0 && (longest == nil || at < since) {
			longest, since = g, at
		}
	}
	if longest == nil {
		return false
	}
	delete(s.streams, longest)
	_ = longest.ResetWithError(network.StreamResourceLimitExceeded) // its handler ends

	return true
}

func (s *server) end(g *guardedStream) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	delete(s.streams, g)
	s.serving.Done()
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

	waiting atomic.Int64 // since when for a query, as Unix time in ns; 0 while one is answered
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
		g.waiting.Store(now.UnixNano())
	}
	if err := g.SetDeadline(now.Add(timeout)); err != nil {
		return err
	}
	body, err := wire.ReadSized(g.Stream, maxRequest)
	if err != nil {
		return err
	}
	g.waiting.Store(0)
	g.n++
	g.s.d.counters.add(&g.s.d.counters.QueriesServed, 1)
	g.rest = wire.AppendSized(nil, body)

	return nil
}
