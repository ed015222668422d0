package pex_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat/compattest/memory"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// dialedBy runs f with a stranger that the node has dialed, and asked once.
func dialedBy(t *testing.T, f func(t *testing.T, n *node, s *stranger)) {
	t.Helper()
	dialedByAt(t, nil, f)
}

// dialedByAt is dialedBy with the node and the stranger at two IPs, if they are given.
func dialedByAt(t *testing.T, ips []string, f func(t *testing.T, n *node, s *stranger)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		var own, other *types.NodeInfo
		if len(ips) == 2 {
			own, other = infoAt(network, ips[0]), infoAt(network, ips[1])
		}
		// It asks nobody again while the test runs.
		reactor := []pex.Option{pex.WithDiscoveryInterval(24 * time.Hour)}
		n := newNode(t, network, nodeOptions{info: own, reactor: reactor})
		defer n.stop(t)
		s := newStranger(t, network, other)
		defer s.stop(t)
		connect(t, n, s)
		require.Equal(t, [][]byte{wire.AppendRequest(nil)}, s.take())
		f(t, n, s)
	})
}

func TestSecondResponseIsDropped(t *testing.T) {
	dialedBy(t, func(t *testing.T, n *node, s *stranger) {
		first, second := addrAt("10.1.1.1", 1), addrAt("10.1.1.2", 2)
		s.send(t, n, response(first), response(second))
		stats := n.pex.Stats()
		require.EqualValues(t, 1, stats.ResponsesReceived)
		require.EqualValues(t, 1, stats.AddressesAdded)
		require.EqualValues(t, 1, stats.ResponsesUnrequested)
		require.Contains(t, texts(n.book.Addresses()), first.String())
		require.NotContains(t, texts(n.book.Addresses()), second.String())
	})
}

func TestResponseToNoRequestIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n, s := newNode(t, network, nodeOptions{}), newStranger(t, network, nil)
		defer n.stop(t)
		defer s.stop(t)
		connect(t, s, n) // so the node has not asked
		s.send(t, n, response(addrAt("10.1.1.1", 1)))
		require.EqualValues(t, 1, n.pex.Stats().ResponsesUnrequested)
		require.Zero(t, n.book.Size())
		require.True(t, n.Peers().Has(s.id()))
	})
}

func TestLateResponseIsDropped(t *testing.T) {
	for wait, late := range map[time.Duration]uint64{30 * time.Second: 0, 30*time.Second + 1: 1} {
		dialedBy(t, func(t *testing.T, n *node, s *stranger) {
			pass(wait)
			s.send(t, n, response(addrAt("10.1.1.1", 1)))
			stats := n.pex.Stats()
			require.Equal(t, late, stats.ResponsesLate)
			require.Equal(t, 1-late, stats.ResponsesReceived)
			require.Zero(t, stats.ResponsesUnrequested)
			// Settled either way.
			s.send(t, n, response(addrAt("10.1.1.1", 1)))
			require.EqualValues(t, 1, n.pex.Stats().ResponsesUnrequested)
		})
	}
}

// Slow answers to several requests all count; a peer that never answers collects
// no right to answer often.
func TestSlowAnswersAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n, s := newNode(t, network, nodeOptions{}), newStranger(t, network, nil)
		defer n.stop(t)
		defer s.stop(t)
		connect(t, n, s)
		pass(10 * time.Second) // asked at 0, 3, 6 and 9 s
		for range 5 {
			s.send(t, n, response(addrAt("10.1.1.1", 1)))
		}
		require.EqualValues(t, 4, n.pex.Stats().ResponsesReceived)
		require.EqualValues(t, 1, n.pex.Stats().ResponsesUnrequested)

		pass(time.Hour)
		for range 15 {
			s.send(t, n, response(addrAt("10.1.1.1", 1)))
		}
		require.InDelta(t, 4+10, n.pex.Stats().ResponsesReceived, 1)
	})
}

func TestRequestsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n, s, other := newNode(t, network, nodeOptions{}), newStranger(t, network, nil), newStranger(t, network, nil)
		defer n.stop(t)
		defer s.stop(t)
		defer other.stop(t)
		connect(t, s, n)
		connect(t, other, n)
		for range 100 {
			s.send(t, n, wire.AppendRequest(nil))
		}
		require.Len(t, s.takeAnswers(t), 3)
		require.EqualValues(t, 3, n.pex.Stats().RequestsReceived)
		require.EqualValues(t, 97, n.pex.Stats().RequestsLimited)

		for range 100 { // a request each 100 ms for 10 s
			s.send(t, n, wire.AppendRequest(nil))
			pass(100 * time.Millisecond)
		}
		require.InDelta(t, 10, len(s.takeAnswers(t)), 1)
		require.NotEmpty(t, other.ask(t, n), "others are answered")
		require.True(t, n.Peers().Has(s.id()))

		pass(time.Hour)
		for range 100 {
			s.send(t, n, wire.AppendRequest(nil))
		}
		require.Len(t, s.takeAnswers(t), 3, "nobody saves up more")
	})
}

// invalidMessages are dropped as a whole, and counted.
func invalidMessages() map[string][]byte {
	fine := addrAt("10.1.1.1", 1)
	with := func(text string) []byte { return wire.AppendResponse(nil, []string{fine.String(), text}) }
	id := types.GenerateNodeKey().ID().String()
	many := make([]*types.NetAddress, 31)
	for i := range many {
		many[i] = fine
	}

	return map[string][]byte{
		"garbage":                []byte("garbage"),
		"other type":             []byte("\x0a\x09/p2p.Ping"),
		"request with a value":   append(wire.AppendRequest(nil), 0x12, 2, 8, 1),
		"no address":             wire.AppendResponse(nil, nil),
		"31 addresses":           response(many...),
		"as large as the stack":  bytes.Repeat([]byte{0x0a}, 5<<20),
		"30 addresses too large": wire.AppendResponse(nil, []string{strings.Repeat("x", 2718-18)}),
		"not an address":         with("junk"),
		"host name":              with(id + "@localhost:1"),
		"bad ID":                 with("g1xyz@1.2.3.4:1"),
		"unspecified":            with(id + "@0.0.0.0:1"),
		"broadcast":              with(id + "@255.255.255.255:1"),
		"documentation":          with(id + "@[2001:db8::1]:1"),
		"no port":                with(id + "@1.2.3.4"),
	}
}

func TestInvalidMessagesAreDropped(t *testing.T) {
	for name, msg := range invalidMessages() {
		t.Run(name, func(t *testing.T) {
			dialedBy(t, func(t *testing.T, n *node, s *stranger) {
				before := n.book.Size()
				s.send(t, n, msg)
				require.EqualValues(t, 1, n.pex.Stats().Invalid)
				require.Zero(t, n.pex.Stats().AddressesReceived)
				require.Equal(t, before, n.book.Size(), "not even the valid addresses are taken")
				require.True(t, n.Peers().Has(s.id()), "the connection stays")
			})
		})
	}
}

// What TM2 lets through but nobody can dial is left out, and the rest is taken.
func TestUselessAddressesAreLeftOut(t *testing.T) {
	dialedBy(t, func(t *testing.T, n *node, s *stranger) {
		fine := addrAt("10.1.1.1", 1)
		sameAddress := addrAt("10.1.1.1", 1)
		s.send(t, n, response(
			addrAt("1.2.3.4", 0), addrAt("224.0.0.1", 1), n.addr(), fine, fine, sameAddress,
			&types.NetAddress{ID: n.id(), IP: fine.IP, Port: 9}, &types.NetAddress{ID: fine.ID, IP: n.addr().IP, Port: n.addr().Port},
		))
		stats := n.pex.Stats()
		require.EqualValues(t, 1, stats.ResponsesReceived)
		require.EqualValues(t, 8, stats.AddressesReceived)
		require.EqualValues(t, 7, stats.AddressesSkipped)
		require.EqualValues(t, 1, stats.AddressesAdded)
		require.Zero(t, stats.Invalid)
		require.ElementsMatch(t, texts([]*types.NetAddress{fine, s.addr()}), texts(n.book.Addresses()))
	})
}

// The largest answer of an honest node is taken.
func TestLargestResponseIsTaken(t *testing.T) {
	dialedBy(t, func(t *testing.T, n *node, s *stranger) {
		addrs := make([]*types.NetAddress, 0, 30)
		for i := range 30 {
			addrs = append(addrs, addrAt(fmt.Sprintf("fd11:2222:3333:4444:5555:6666:7777:8%03d", i), 65535))
		}
		msg := response(addrs...)
		require.Len(t, msg, 2718)
		s.send(t, n, msg)
		require.EqualValues(t, 30, n.pex.Stats().AddressesAdded)
	})
}

// A peer that goes on is stopped with the reason; one that errs now and then is
// not. Either is logged once.
func TestAbusersAreStopped(t *testing.T) {
	junk := []byte("junk")
	for name, c := range map[string]struct {
		msg  []byte
		want error // of the last message
	}{
		"undecodable":     {junk, nil},
		"oversized":       {make([]byte, 3000), pex.ErrMessageTooLarge},
		"not requested":   {response(addrAt("10.1.1.1", 1)), pex.ErrNotRequested},
		"invalid address": {wire.AppendResponse(nil, []string{"junk"}), pex.ErrNotRequested},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				n, s, honest := newNode(t, network, nodeOptions{}), newStranger(t, network, nil), newNode(t, network, nodeOptions{})
				defer n.stop(t)
				defer s.stop(t)
				defer honest.stop(t)
				connect(t, s, n)
				connect(t, honest, n)
				down, cancel := n.Subscribe(func(e events.Event) bool { return e.Type() == events.PeerDisconnected })
				defer cancel()

				for range 19 {
					s.send(t, n, c.msg)
				}
				require.True(t, n.Peers().Has(s.id()))
				s.send(t, n, c.msg)
				require.False(t, n.Peers().Has(s.id()))
				require.Len(t, down, 1)
				var abuse *pex.AbuseError
				require.ErrorAs(t, (<-down).(events.PeerDisconnectedEvent).Reason, &abuse)
				require.Equal(t, s.id(), abuse.Peer)
				require.Equal(t, 20, abuse.Count)
				require.ErrorContains(t, abuse, s.id().String())
				if c.want != nil {
					require.ErrorIs(t, abuse, c.want)
				}
				require.EqualValues(t, 1, n.pex.Stats().PeersStopped)
				require.True(t, n.Peers().Has(honest.id()))
			})
		})
	}
}

func TestOccasionalErrorsAreForgiven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n, s := newNode(t, network, nodeOptions{}), newStranger(t, network, nil)
		defer n.stop(t)
		defer s.stop(t)
		connect(t, s, n)
		for range 100 {
			s.send(t, n, []byte("junk"))
			pass(4 * time.Second)
		}
		require.EqualValues(t, 100, n.pex.Stats().Invalid)
		require.True(t, n.Peers().Has(s.id()))
	})
}

func TestOffencesAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer // written by one goroutine at a time, and read after all
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n, s := newNode(t, network, nodeOptions{}), newStranger(t, network, nil)
		n.pex.SetLogger(slog.New(slog.NewTextHandler(&log, nil)))
		connect(t, s, n)
		for range 10 {
			s.send(t, n, []byte("junk"))
		}
		s.stop(t)
		n.stop(t)
		require.Equal(t, 1, strings.Count(log.String(), s.id().String()), log.String())
		require.Contains(t, log.String(), "channel=80")
	})
}

// One source can place so many hints, however many it tells, and they displace
// neither those of others nor addresses that work.
func TestOneSourceCannotFillTheBook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memory.NewNetwork()
		n := newNode(t, network, nodeOptions{})
		defer n.stop(t)
		honest, liar := newStranger(t, network, nil), newStranger(t, network, nil)
		defer honest.stop(t)
		defer liar.stop(t)
		connect(t, n, honest)
		connect(t, n, liar)
		hint := addrAt("10.200.0.1", 1)
		honest.send(t, n, response(hint))
		for round := range 40 {
			pass(pex.DefaultDiscoveryInterval)
			var lies []*types.NetAddress
			for i := range 30 {
				lies = append(lies, addrAt(fmt.Sprintf("10.%d.0.%d", 100+round, i+1), 1))
			}
			liar.send(t, n, response(lies...))
		}
		require.NotZero(t, n.pex.Stats().AddressesAdded)
		require.Equal(t, 2+1+64, n.book.Size())
		known := texts(n.book.Addresses())
		require.Subset(t, known, texts([]*types.NetAddress{honest.addr(), liar.addr(), hint}))
	})
}

// A peer that makes up IDs has nobody flooded with dials: neither one address nor,
// outside of private networks, one IP.
func TestMadeUpIDsFloodNobody(t *testing.T) {
	for _, c := range []struct {
		name                  string
		ip                    string
		ports                 int
		atOneAddress, atOneIP int // the most dials in 10 minutes
	}{
		{name: "one address", ip: "9.9.9.9", ports: 1, atOneAddress: 3, atOneIP: 3},
		{name: "many ports", ip: "9.9.9.9", ports: 30, atOneAddress: 3, atOneIP: 16 + 30},
		{name: "private network", ip: "10.1.2.3", ports: 30, atOneAddress: 3, atOneIP: 3 * 30},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := memory.NewNetwork()
				n, s := newNode(t, network, nodeOptions{reactor: []pex.Option{pex.WithPrivateNetworks()}}), newStranger(t, network, nil)
				defer n.stop(t)
				defer s.stop(t)
				failed, cancel := n.Subscribe(func(e events.Event) bool { return e.Type() == events.DialFailed })
				defer cancel()
				connect(t, n, s)
				dials, all := make(map[string]int), 0
				for range 10 * 60 / 3 {
					var lies []*types.NetAddress
					for p := range c.ports {
						lies = append(lies, addrAt(c.ip, uint16(100+p)))
					}
					s.send(t, n, response(lies...))
					pass(3 * time.Second)
					for len(failed) > 0 {
						addr := (<-failed).(events.DialFailedEvent).Address
						dials[addr.DialString()]++
						all++
					}
				}
				require.NotZero(t, all)
				require.LessOrEqual(t, all, c.atOneIP)
				for where, count := range dials {
					require.LessOrEqual(t, count, c.atOneAddress, where)
				}
			})
		})
	}
}
