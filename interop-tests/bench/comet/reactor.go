package main

import (
	"net"
	"strconv"

	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

// reactor passes received messages to a handler.
type reactor struct {
	p2p.BaseReactor
	channels []*conn.ChannelDescriptor
	on       harness.Handler
}

func newReactor(channels []*conn.ChannelDescriptor, on harness.Handler) *reactor {
	r := &reactor{channels: channels, on: on}
	r.BaseReactor = *p2p.NewBaseReactor("bench", r)
	r.SetLogger(log.NewNopLogger())

	return r
}

func (r *reactor) GetChannels() []*conn.ChannelDescriptor { return r.channels }

func (r *reactor) Receive(e p2p.Envelope) {
	r.on(e.ChannelID, e.Message.(*protomem.Txs).Txs[0])
}

// freeAddress returns a loopback address whose port is free for TCP and UDP. It is needed
// since neither switch reports the port that it gets for port 0.
func freeAddress() (string, error) {
	for {
		udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return "", err
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(udp.LocalAddr().(*net.UDPAddr).Port))
		tcp, err := net.Listen("tcp", addr)
		if closeErr := udp.Close(); closeErr != nil {
			return "", closeErr
		}
		if err == nil {
			return addr, tcp.Close()
		}
	}
}
