package discovery

import (
	"errors"
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
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
	"github.com/tm2-libp2p/tm2-libp2p/internal/places"
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

var errGaveWay = errors.New("the stream gave way to one of a less crowded network")

// server bounds what queries of others may cost before kad-dht sees them.
type server struct {
	d       *Discovery
	limiter *rate.Limiter // streams of each IP
	places  *places.Places

	mtx     sync.Mutex
	opened  bool
	streams map[*guardedStream]struct{}
	serving sync.WaitGroup
}

func newServer(d *Discovery) *server {
	return &server{
		d: d, streams: make(map[*guardedStream]struct{}),
		places: places.New(places.Limits{Total: maxServed, PerHost: maxServed}), // begin has the limit for a host
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

// shut ends serving. When it returns, the protocol is not announced, and all handlers have
// returned and have reset their streams.
func (s *server) shut(h p2phost.Host, id protocol.ID) {
	h.RemoveStreamHandler(id)
	s.mtx.Lock()
	s.opened = false
	for stream := range s.streams {
		stream.giveWay()
	}
	s.mtx.Unlock()
	s.serving.Wait()
}

// serve runs kad-dht's handler on a stream of a remote, on the goroutine that
// libp2p has made for it.
func (s *server) serve(stream network.Stream, handler network.StreamHandler) {
	ip := remoteIP(stream.Conn())
	g := &guardedStream{Stream: stream, s: s, from: stream.Conn().RemotePeer(), ip: ip, host: remoteHost(ip)}
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

// remoteIP returns the IP of a remote. It is not valid behind a relay.
func remoteIP(c network.Conn) netip.Addr {
	at, _ := p2paddr.AddrPort(c.RemoteMultiaddr())

	return at.Addr()
}

// remoteHost returns the host at the IP. It is not valid on loopback, which all processes of
// this machine share.
func remoteHost(ip netip.Addr) netip.Prefix {
	if ip.IsLoopback() {
		return netip.Prefix{}
	}

	return netgroup.Host(ip)
}

// begin takes a place for the stream. When there is none, a stream of the most crowded
// network gives way, also while it is being answered: a remote that does not read an answer
// would keep its place for long.
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
	if !s.opened || ofPeer >= maxServedPerPeer || ofHost >= maxServedPerHost {
		return false
	}
	var err error
	if g.place, err = s.places.Take(g.ip, false, g.giveWay); err != nil {
		return false
	}
	s.streams[g] = struct{}{}
	s.serving.Add(1)

	return true
}

func (s *server) end(g *guardedStream) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	delete(s.streams, g)
	g.place.Leave()
	s.serving.Done()
}

// guardedStream gives kad-dht one whole query at a time, and only so many. kad-dht
// allocates what a length prefix announces, up to 4 MiB; here it has arrived, and
// is small.
type guardedStream struct {
	network.Stream
	s     *server
	from  peer.ID
	ip    netip.Addr
	host  netip.Prefix
	place *places.Place
	gone  atomic.Bool // it gives way
	rest  []byte
	n     int
}

// giveWay ends the stream without waiting for the remote: its handler then resets it.
func (g *guardedStream) giveWay() {
	g.gone.Store(true)
	_ = g.SetDeadline(stream.LongAgo) // it may have ended by itself
}

// Reset implements network.MuxedStream. It tells the remote if the stream gives way.
func (g *guardedStream) Reset() error {
	if g.gone.Load() {
		return g.ResetWithError(network.StreamResourceLimitExceeded)
	}

	return g.Stream.Reset()
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
	timeout := serveTimeout
	if g.n > 0 {
		timeout = betweenTimeout
	}
	if err := g.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if g.gone.Load() { // and its deadline was another one
		return errGaveWay
	}
	body, err := wire.ReadSized(g.Stream, maxRequest)
	if err != nil {
		return err
	}
	g.place.Speak()
	g.n++
	g.s.d.counters.add(&g.s.d.counters.QueriesServed, 1)
	g.rest = wire.AppendSized(nil, body)

	return nil
}
