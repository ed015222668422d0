package dual_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

// slowLink is the system's sockets for a dialer that is far away from everybody.
type slowLink struct {
	socket.System

	trip time.Duration // to the remote and back
	wg   sync.WaitGroup
}

// DialContext connects by a relay that delays everything by half of the round trip.
func (s *slowLink) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	relay, err := s.Listen(network, "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer relay.Close()
	conn, err := s.System.DialContext(ctx, network, relay.Addr().String())
	if err != nil {
		return nil, err
	}
	near, err := relay.Accept()
	if err != nil {
		_ = conn.Close()

		return nil, err
	}
	time.Sleep(s.trip) // the first packet there, and its answer
	s.wg.Go(func() {
		time.Sleep(s.trip / 2) // the packet after which the remote accepts
		far, err := s.System.DialContext(context.Background(), network, address)
		if err != nil {
			_ = near.Close()

			return
		}
		s.wg.Go(func() { s.carry(near, far) })
		s.carry(far, near)
	})

	return dialedConn{conn, far(address)}, nil
}

// far is an address that a connection by the relay has reached.
func far(address string) net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		panic(err)
	}

	return addr
}

// dialedConn shows the address that was dialed in place of the relay's.
type dialedConn struct {
	net.Conn
	remote net.Addr
}

func (c dialedConn) RemoteAddr() net.Addr { return c.remote }

// carry passes on what comes from one end, and its closing, half of a round trip later.
func (s *slowLink) carry(from, to net.Conn) {
	type packet struct {
		data []byte
		due  time.Time
	}
	packets := make(chan packet, 1024)
	s.wg.Go(func() {
		defer to.Close()
		for p := range packets {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close() // which ends the reading below
			}
		}
	})
	defer close(packets)
	for {
		data := make([]byte, 16<<10)
		n, err := from.Read(data)
		packets <- packet{data[:n], time.Now().Add(s.trip / 2)}
		if err != nil {
			return
		}
	}
}

// BenchmarkRoundTripsToConnect measures how long a dial takes until the session stands, in
// round trips of the link: of each stack alone, and of a dual node that meets the peer for
// the first time and again. The computation is a part of the result.
func BenchmarkRoundTripsToConnect(b *testing.B) {
	for _, c := range []struct{ dialer, listener string }{
		{"native", "native"}, {"libp2p", "libp2p"}, {"dual", "native"}, {"dual", "libp2p"}, {"dual", "dual"},
	} {
		for _, again := range []bool{false, true} {
			name := c.dialer + " dials " + c.listener + ", first"
			if again {
				name = c.dialer + " dials " + c.listener + ", later"
			}
			b.Run(name, func(b *testing.B) { benchmarkTrips(b, c.dialer, c.listener, again) })
		}
	}
}

func benchmarkTrips(b *testing.B, dialer, kind string, again bool) {
	b.Helper()
	listener, accepted := listen(b, kind, loopbackSpec())
	const trip = 100 * time.Millisecond
	var trips []float64
	for b.Loop() {
		link := &slowLink{trip: trip}
		tr := withSockets(b, dialer, link)
		if again {
			connectOnce(b, tr, listener)
			<-accepted
		}
		trips = append(trips, float64(connectOnce(b, tr, listener))/float64(trip))
		<-accepted
		require.NoError(b, tr.Close())
		link.wg.Wait()
	}
	b.ReportMetric(0, "ns/op")
	reportSpread(b, "round-trips", trips)
}

// connectOnce returns how long a dial takes. It closes the connection, that of libp2p below
// the session too, so that the next dial cannot reuse it.
func connectOnce(b *testing.B, tr, to compat.ListeningTransport) time.Duration {
	b.Helper()
	begun := time.Now()
	p, err := tr.Dial(timeout(b), to.NetAddress(), newBehavior())
	took := time.Since(begun)
	require.NoError(b, err)
	require.NoError(b, p.Start())
	require.NoError(b, p.Stop())
	libp2p, ok := tr.(*lp2p.Transport)
	if d, isDual := tr.(*dual.Transport); isDual {
		libp2p, ok = d.Libp2p(), true
	}
	if ok {
		for _, id := range libp2p.Host().Network().Peers() {
			require.NoError(b, libp2p.Host().Network().ClosePeer(id))
		}
	}

	return took
}
