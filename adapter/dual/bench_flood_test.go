package dual_test

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

// echo is a switch with one reactor that passes what it receives to a function.
type echo struct {
	*behavior

	on func(p compat.PeerConn, msg []byte)
}

func newEcho(on func(p compat.PeerConn, msg []byte)) *echo {
	e := &echo{behavior: newBehavior(), on: on}
	e.BaseReactor = *compat.NewBaseReactor("echo", e)

	return e
}

func (e *echo) Reactors() map[byte]compat.Reactor                 { return map[byte]compat.Reactor{channel: e} }
func (e *echo) Receive(_ byte, p compat.PeerConn, msg []byte)     { e.on(p, msg) }
func (e *echo) ReactorChDescriptors() []*compat.ChannelDescriptor { return e.GetChannels() }

// pair is a node that listens, and a peer that it sends every message back to.
type pair struct {
	address string
	peer    compat.PeerConn
	back    chan struct{}
}

func newPair(b *testing.B, kind string) *pair {
	b.Helper()
	p := &pair{back: make(chan struct{}, 1)}
	listener := kinds[kind](b, loopbackSpec())
	require.NoError(b, listener.Listen(types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}))
	acceptAll(b, listener, newEcho(func(from compat.PeerConn, msg []byte) { from.Send(channel, msg) }),
		func(in compat.PeerConn) { require.NoError(b, in.Start()) })
	dialer := kinds[kind](b, loopbackSpec())
	b.Cleanup(func() { require.NoError(b, dialer.Close()) })
	addr := listener.NetAddress()
	p.address = addr.DialString()
	var err error
	p.peer, err = dialer.Dial(timeout(b), addr, newEcho(func(compat.PeerConn, []byte) { p.back <- struct{}{} }))
	require.NoError(b, err)
	require.NoError(b, p.peer.Start())

	return p
}

// roundTrips sends so many messages, one each millisecond, and returns how long each took
// there and back, the shortest first.
func (p *pair) roundTrips(b *testing.B, count int) []time.Duration {
	b.Helper()
	msg := make([]byte, 64)
	took := make([]time.Duration, count)
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for i := range took {
		<-pace.C
		begun := time.Now()
		require.True(b, p.peer.Send(channel, msg))
		<-p.back
		took[i] = time.Since(begun)
	}
	slices.Sort(took)

	return took
}

// BenchmarkRoundTripUnderFlood measures the round trip of a message of 64 B between two
// connected peers with a flood beside that without. An iteration is a second without the
// flood and four with it. The flood is 448 connections from 7 IPs, of which 200 a second come
// again. It runs in the same process, so that what the flood costs its sender counts too.
func BenchmarkRoundTripUnderFlood(b *testing.B) {
	ips := stacktest.IPs(448, func(i int) string { return fmt.Sprintf("127.%d.1.1", 1+i%7) })
	for _, kind := range []string{"native", "libp2p", "dual"} {
		for _, name := range []string{"silent", "native byte", "multistream", "mixed"} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				p := newPair(b, kind)
				ratios := make(map[string][]float64)
				var quiet []float64
				p.roundTrips(b, 1000)
				for b.Loop() {
					without := p.roundTrips(b, 1000)
					f := startFlood(p.address, beginnings[name], 5*time.Millisecond, ips)
					with := p.roundTrips(b, 4000) // longer than a handshake may take
					f.Stop()
					quiet = append(quiet, float64(without[len(without)/2]))
					ratios["mean"] = append(ratios["mean"], mean(with)/mean(without))
					for unit, percent := range map[string]int{"p50": 50, "p99": 99} {
						flooded, quiet := with[len(with)*percent/100], without[len(without)*percent/100]
						ratios[unit] = append(ratios[unit], float64(flooded)/float64(quiet))
					}
				}
				b.ReportMetric(0, "ns/op")
				reportSpread(b, "quiet-p50-ns", quiet)
				reportSpread(b, "p50-ratio", ratios["p50"])
				reportSpread(b, "mean-ratio", ratios["mean"])
				reportSpread(b, "p99-ratio", ratios["p99"])
			})
		}
	}
}

func mean(ds []time.Duration) float64 {
	var sum time.Duration
	for _, d := range ds {
		sum += d
	}

	return float64(sum) / float64(len(ds))
}

// reportSpread reports the median of the values, the smallest and the largest.
func reportSpread(b *testing.B, unit string, values []float64) {
	b.Helper()
	slices.Sort(values)
	b.ReportMetric(values[len(values)/2], unit)
	b.ReportMetric(values[0], unit+"-min")
	b.ReportMetric(values[len(values)-1], unit+"-max")
}
