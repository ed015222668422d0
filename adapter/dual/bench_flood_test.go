package dual_test

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netnstest"
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

// The node and its peer have public IPs, so that limits and conduct count.
const (
	nodeIP = "8.8.8.8"
	peerIP = "51.0.0.1"
)

// pair is a node with a switch, and a peer to which it sends every message back.
type pair struct {
	node compat.ListeningTransport
	peer compat.PeerConn
	back chan struct{}
}

func newPair(b *testing.B, kind string, opts ...adapter.SwitchOption) *pair {
	b.Helper()
	node, err := nodeWith(kind, loopbackSpec(), nil)
	require.NoError(b, err)
	p := &pair{back: make(chan struct{}, 1), node: node}
	require.NoError(b, p.node.Listen(types.NetAddress{IP: net.IPv4zero}))
	sw := adapter.NewMultiplexSwitch(p.node, append(opts, adapter.WithReactor("echo",
		newEcho(func(from compat.PeerConn, msg []byte) { from.Send(channel, msg) })))...)
	require.NoError(b, sw.Start())
	b.Cleanup(func() {
		require.NoError(b, sw.Stop())
		require.NoError(b, p.node.Close())
	})
	dialer, err := atIP(kind, peerIP, loopbackSpec())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, dialer.Close()) })
	addr := p.node.NetAddress()
	addr.IP = net.ParseIP(nodeIP)
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

// compare measures the round trip of the pair without an attack and with it, and reports the
// ratios. An iteration is two seconds without, and four with it: longer than a handshake may
// take.
func (p *pair) compare(b *testing.B, spec func(round int) attackSpec) {
	b.Helper()
	ratios := make(map[string][]float64)
	var quiet, conns, refused []float64
	p.roundTrips(b, 1000)
	for b.Loop() {
		before := p.roundTrips(b, 1000)
		begun := time.Now()
		a := startAttacker(b, spec(len(quiet)))
		with := p.roundTrips(b, 4000)
		report, seconds := a.stop(b), time.Since(begun).Seconds()
		without := slices.Concat(before, p.roundTrips(b, 1000))
		slices.Sort(without)

		conns = append(conns, float64(report.Conns)/seconds)
		refused = append(refused, float64(report.Refused)/seconds)
		quiet = append(quiet, float64(without[len(without)/2]))
		ratios["mean"] = append(ratios["mean"], mean(with)/mean(without))
		for unit, percent := range map[string]int{"p50": 50, "p99": 99} {
			flooded, quiet := with[len(with)*percent/100], without[len(without)*percent/100]
			ratios[unit] = append(ratios[unit], float64(flooded)/float64(quiet))
		}
	}
	b.ReportMetric(0, "ns/op")
	reportSpread(b, "quiet-p50-ns", quiet)
	for _, unit := range []string{"p50", "mean", "p99"} {
		reportSpread(b, unit+"-ratio", ratios[unit])
	}
	b.ReportMetric(median(conns), "conns/s")
	b.ReportMetric(median(refused), "refused/s")
}

// BenchmarkRoundTripUnderFlood measures the round trip of a message of 64 B between two
// connected peers with a flood beside that without. The flood is 448 connections from 7 IPs, of
// which 200 a second come again.
func BenchmarkRoundTripUnderFlood(b *testing.B) {
	if !netnstest.Inside(b) {
		return
	}
	ips := stacktest.IPs(448, func(i int) string { return fmt.Sprintf("60.%d.1.1", i%7) })
	for _, kind := range []string{"native", "libp2p", "dual"} {
		for _, name := range []string{"silent", "native byte", "multistream", "mixed"} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				// Otherwise the node would refuse the 7 hosts for their conduct, before they cost much.
				p := newPair(b, kind, adapter.WithAllowDuplicateIP(true))
				p.compare(b, func(int) attackSpec {
					spec := attackOn(p.node, nodeIP)
					spec.Begin, spec.IPs, spec.Pace = name, ips, 5*time.Millisecond

					return spec
				})
			})
		}
	}
}

// BenchmarkRoundTripUnderVisits does the same, with the default settings, while one host connects 200 times a second, as
// a peer that has proved an ID, and leaves at once. In each iteration it is another host.
func BenchmarkRoundTripUnderVisits(b *testing.B) {
	if !netnstest.Inside(b) {
		return
	}
	for kind, visitors := range map[string][]string{
		"native": {"native"}, "libp2p": {"libp2p"}, "dual": {"native", "libp2p"},
	} {
		b.Run(kind, func(b *testing.B) {
			p := newPair(b, kind)
			p.compare(b, func(round int) attackSpec {
				spec := attackOn(p.node, nodeIP)
				spec.Kinds, spec.From, spec.Pace = visitors, fmt.Sprintf("60.%d.1.1", round), 5*time.Millisecond

				return spec
			})
		})
	}
}

func mean(ds []time.Duration) float64 {
	var sum time.Duration
	for _, d := range ds {
		sum += d
	}

	return float64(sum) / float64(len(ds))
}

func median(values []float64) float64 {
	slices.Sort(values)

	return values[len(values)/2]
}

// reportSpread reports the median of the values, the smallest and the largest.
func reportSpread(b *testing.B, unit string, values []float64) {
	b.Helper()
	b.ReportMetric(median(values), unit)
	b.ReportMetric(values[0], unit+"-min")
	b.ReportMetric(values[len(values)-1], unit+"-max")
}
