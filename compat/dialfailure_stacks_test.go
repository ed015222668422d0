package compat_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/dnstest"
	"github.com/tm2-libp2p/tm2-libp2p/internal/leeway"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

const channel = 0x20

// patience bounds the dials and handshakes that have to succeed on a busy machine.
const patience = time.Minute

func patientNative() native.Option { return leeway.Handshake(patience).(native.Option) }

// host is a switch reduced to what a transport asks of it. It refuses peers for a
// reason if it has one.
type host struct {
	compat.BaseReactor
	refusal *compat.RejectError
}

func newHost(refusal *compat.RejectError) *host {
	h := &host{refusal: refusal}
	h.BaseReactor = *compat.NewBaseReactor("host", h)

	return h
}

func (*host) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: channel, Priority: 1}}
}
func (h *host) ReactorChDescriptors() []*compat.ChannelDescriptor { return h.GetChannels() }
func (h *host) Reactors() map[byte]compat.Reactor                 { return map[byte]compat.Reactor{channel: h} }
func (*host) HandlePeerError(compat.PeerConn, error)              {}
func (*host) IsPersistentPeer(types.ID) bool                      { return false }
func (*host) IsPrivatePeer(types.ID) bool                         { return false }
func (h *host) AdmitPeer(compat.ConnInfo, types.NodeInfo) error {
	if h.refusal == nil {
		return nil
	}

	return h.refusal
}

// transport is what both stacks offer beside compat.Transport.
type transport interface {
	compat.Transport
	Listen(addr types.NetAddress) error
	Close() error
}

// stack makes transports that listen on loopback, and are patient.
type stack struct {
	name string
	make func(t *testing.T, info types.NodeInfo, key types.NodeKey) transport
}

var stacks = []stack{
	{"native", func(_ *testing.T, info types.NodeInfo, key types.NodeKey) transport {
		return native.NewMultiplexTransport(info, key, mconn.DefaultMConnConfig(), nil, patientNative())
	}},
	{"libp2p", func(t *testing.T, info types.NodeInfo, key types.NodeKey) transport {
		timeouts := lp2p.DefaultTimeouts()
		timeouts.Dial, timeouts.Handshake = patience, patience
		lt, err := lp2p.NewTransport(info, key, nil, lp2p.WithTimeouts(timeouts))
		require.NoError(t, err)

		return lt
	}},
}

func loopback(id types.ID) types.NetAddress {
	return types.NetAddress{ID: id, IP: net.IPv4(127, 0, 0, 1)}
}

// open returns a transport of a network that listens.
func (s stack) open(t *testing.T, network string) transport {
	key := types.GenerateNodeKey()
	addr := loopback(key.ID())
	tr := s.make(t, types.NodeInfo{
		NetAddress: &addr, Network: network, Version: "v1.0.0", Moniker: "node", Channels: []byte{channel},
	}, *key)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(addr))

	return tr
}

// serve is open for a transport that accepts peers, or refuses them for the reason.
func (s stack) serve(t *testing.T, network string, refusal *compat.RejectError) types.NetAddress {
	tr := s.open(t, network)
	ctx, cancel := context.WithCancel(context.Background())
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			p, err := tr.Accept(ctx, newHost(refusal))
			if err != nil {
				return
			}
			tr.Remove(p)
		}
	})
	t.Cleanup(func() { cancel(); accepting.Wait() })

	return tr.NetAddress()
}

// at is the address of a listener, with an ID that nobody has.
func at(addr net.Addr) types.NetAddress {
	a := loopback(types.GenerateNodeKey().ID())
	a.Port = uint16(addr.(*net.TCPAddr).Port)

	return a
}

// listen returns a listener whose connections nobody answers.
func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			require.NoError(t, err)
		}
	})

	return l
}

// dial returns the error of a dial that fails.
func dial(t *testing.T, ctx context.Context, s stack, addr types.NetAddress) error {
	p, err := s.open(t, "net-a").Dial(ctx, addr, newHost(nil))
	require.Nil(t, p)
	require.Error(t, err)

	return err
}

// answeredBy returns what answered a dial in place of a node.
func answeredBy(t *testing.T, err error) string {
	var foreign *compat.ForeignError
	require.ErrorAs(t, err, &foreign)

	return foreign.Answered
}

// Both stacks tell the same failures of real dials alike.
func TestFailedDialsOfBothStacks(t *testing.T) {
	for i, s := range stacks {
		other := stacks[1-i]
		for name, c := range map[string]struct {
			addr  func(t *testing.T) types.NetAddress
			want  compat.DialFailure
			check func(t *testing.T, addr types.NetAddress, err error)
		}{
			"wrong ID": {func(t *testing.T) types.NetAddress {
				addr := s.serve(t, "net-a", nil)
				addr.ID = types.GenerateNodeKey().ID()

				return addr
			}, compat.DialWrongID, func(t *testing.T, addr types.NetAddress, err error) {
				var wrong *compat.WrongIDError
				require.ErrorAs(t, err, &wrong)
				require.Equal(t, addr.ID, wrong.Asked)
				require.Equal(t, addr.DialString(), wrong.Addr)
				require.NoError(t, wrong.Found.Validate())
				require.NotEqual(t, wrong.Asked, wrong.Found)
			}},
			"closed port": {func(t *testing.T) types.NetAddress {
				l := listen(t)
				require.NoError(t, l.Close())

				return at(l.Addr())
			}, compat.DialUnreachable, nil},
			"no such host": {func(t *testing.T) types.NetAddress {
				dnstest.Install(t)
				addr := loopback(types.GenerateNodeKey().ID())
				addr.IP, addr.Hostname, addr.Port = nil, "node.example", 26656

				return addr
			}, compat.DialUnreachable, nil},
			"web server": {func(t *testing.T) types.NetAddress {
				server := httptest.NewServer(nil)
				t.Cleanup(server.Close)

				return at(server.Listener.Addr())
			}, compat.DialForeign, func(t *testing.T, _ types.NetAddress, err error) {
				require.Equal(t, "HTTP", answeredBy(t, err))
			}},
			"TLS server": {func(t *testing.T) types.NetAddress {
				l := listen(t)
				var serving sync.WaitGroup
				serving.Go(func() {
					for {
						conn, err := l.Accept()
						if err != nil {
							return
						}
						_, _ = conn.Write([]byte("\x15\x03\x01\x00\x02\x02\x0a")) // unexpected_message
						_ = conn.(*net.TCPConn).CloseWrite()
						_, _ = io.Copy(io.Discard, conn)
						_ = conn.Close()
					}
				})
				t.Cleanup(func() { require.NoError(t, l.Close()); serving.Wait() })

				return at(l.Addr())
			}, compat.DialForeign, func(t *testing.T, _ types.NetAddress, err error) {
				require.Equal(t, "TLS", answeredBy(t, err))
			}},
			"the other stack": {func(t *testing.T) types.NetAddress {
				return other.serve(t, "net-a", nil)
			}, compat.DialForeign, func(t *testing.T, _ types.NetAddress, err error) {
				require.Equal(t, other.name, answeredBy(t, err))
			}},
			"other network": {func(t *testing.T) types.NetAddress {
				return s.serve(t, "net-b", nil)
			}, compat.DialOtherNetwork, nil},
		} {
			t.Run(s.name+"/"+name, func(t *testing.T) {
				addr := c.addr(t)
				err := dial(t, t.Context(), s, addr)
				require.Equal(t, c.want, compat.ClassifyDial(err), "%v", err)
				if c.check != nil {
					c.check(t, addr, err)
				}
			})
		}
	}
}

// What this node ends, or does not wait for, says nothing of the peer.
func TestDialsThatThisNodeEnds(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.name, func(t *testing.T) {
			silent := at(listen(t).Addr())
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			require.Equal(t, compat.DialTimedOut, compat.ClassifyDial(dial(t, ctx, s, silent)))

			canceled, cancel := context.WithCancel(t.Context())
			cancel()
			require.Equal(t, compat.DialLocal, compat.ClassifyDial(dial(t, canceled, s, silent)))

			tr := s.open(t, "net-a")
			require.ErrorIs(t, tr.Listen(loopback("")), compat.ErrAlreadyListening)
			require.NoError(t, tr.Close())
			_, err := tr.Dial(t.Context(), silent, newHost(nil))
			require.Equal(t, compat.DialLocal, compat.ClassifyDial(err))

			self := s.open(t, "net-a")
			_, err = self.Dial(t.Context(), self.NetAddress(), newHost(nil))
			var reject *compat.RejectError
			require.ErrorAs(t, err, &reject)
			require.Equal(t, compat.RejectSelf, reject.Code)
		})
	}
}

// A node that finds itself where it looks for another, as where it had another key before,
// says so as of any other node.
func TestDialThatReachesThisNode(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.name, func(t *testing.T) {
			self := s.open(t, "net-a")
			addr := self.NetAddress()
			addr.ID = types.GenerateNodeKey().ID()
			_, err := self.Dial(t.Context(), addr, newHost(nil))
			require.Equal(t, compat.DialWrongID, compat.ClassifyDial(err), "%v", err)
			var wrong *compat.WrongIDError
			require.ErrorAs(t, err, &wrong)
			own := self.NetAddress()
			require.Equal(t, own.ID, wrong.Found)
		})
	}
}

// A libp2p node says why it refuses a peer.
func TestRefusalsOverLibp2p(t *testing.T) {
	s := stacks[1]
	for code, want := range map[compat.RejectCode]compat.DialFailure{
		compat.RejectFull: compat.DialBusy, compat.RejectUnavailable: compat.DialBusy,
		compat.RejectDuplicate: compat.DialDuplicate, compat.RejectClosing: compat.DialClosing,
		compat.RejectBanned: compat.DialRefused, compat.RejectIncompatible: compat.DialOtherNetwork,
	} {
		err := dial(t, t.Context(), s, s.serve(t, "net-a", compat.Reject(code, "")))
		require.Equal(t, want, compat.ClassifyDial(err), "%v", err)
	}
}

// A native node refuses by closing the connection once it has proved its ID.
func TestRefusalOverNative(t *testing.T) {
	key := types.GenerateNodeKey()
	relay := native.NewRelayTransport(*key, mconn.DefaultMConnConfig(), nil, patientNative())
	require.NoError(t, relay.Listen(loopback(key.ID())))
	refused := make(chan error, 1)
	go func() {
		pending, err := relay.AcceptPending(context.Background())
		if err == nil {
			pending.Reject(errors.New("not wanted"))
		}
		refused <- err
	}()
	err := dial(t, t.Context(), stacks[0], relay.NetAddress())
	require.Equal(t, compat.DialRefused, compat.ClassifyDial(err), "%v", err)
	require.NoError(t, <-refused)
	require.NoError(t, relay.Close())
}

// A libp2p node that closes the connection before the handshake has ended may be full,
// or stop: that does not show that it speaks something else.
func TestLibp2pNodeThatHangsUp(t *testing.T) {
	for _, greeting := range []string{"", "\x13/multistream/1.0.0\n"} {
		l := listen(t)
		served := make(chan struct{})
		go func() {
			defer close(served)
			if c, err := l.Accept(); err == nil {
				_, _ = c.Write([]byte(greeting)) // the dialer notices by the end of the connection
				_ = c.Close()
			}
		}()
		err := dial(t, t.Context(), stacks[1], at(l.Addr()))
		<-served
		require.Equal(t, compat.DialUnclear, compat.ClassifyDial(err), "%v", err)
		require.ErrorIs(t, err, lp2p.ErrNotLibp2p)
	}
}
