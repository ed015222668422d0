package nativecases

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	// pieceSize is how much of a message a packet carries.
	pieceSize = 1024
	// recvBudget is what a node keeps of unfinished messages (docs/wire.md §5.4).
	recvBudget = 20 << 20
	// bulkPatience is for the node to take as much as recvBudget at the rate that gno's library
	// has by default.
	bulkPatience = 90 * time.Second
)

// channelCases are about messages: how they are put together, and how large they may be.
func channelCases() conform.Catalog {
	return section("channels", []row{
		{name: "unknown", title: "a message on a channel that the node does not have", spec: "5.1", level: conform.Must, want: conform.Ends,
			play: connected(func(s *session) { s.Message(wire.AppendMsg(nil, s.target.UnknownChannel(), true, junk(2))) })},
		{name: "zero", title: "a message without a channel, which is channel 0", spec: "5.1", level: conform.Must, want: conform.Ends,
			needs: needsNoChannel0, play: connected(func(s *session) { s.Message(wire.AppendMsg(nil, 0, true, junk(2))) })},
		{name: "message-in-pieces", title: "a message of 1000 pieces of one byte", spec: "5.1", level: conform.Must, want: conform.Accepts,
			needs: needsChannel, play: connected(func(s *session) { s.Message(pieces(s.target.Channel, 1000, 1)) })},
		{name: "empty-pieces", title: "a message with empty pieces in between", spec: "5.1", level: conform.Must, want: conform.Accepts,
			needs: needsChannel, play: connected(func(s *session) {
				ch := s.target.Channel
				s.Message(slices.Concat(bytes.Repeat(wire.AppendMsg(nil, ch, false, nil), 100), pieces(ch, 10, 1)))
			})},
		{name: "capacity", title: "a message of exactly the receive capacity", spec: "5.1", level: conform.Must, want: conform.Accepts,
			needs: needsChannel, play: bulk(func(s *session) { s.Message(pieces(s.target.Channel, s.target.Capacity, pieceSize)) })},
		{name: "capacity-over", title: "a message of one byte more than the receive capacity", spec: "5.1", level: conform.Must, want: conform.Ends,
			needs: needsChannel, play: bulk(func(s *session) { s.Message(pieces(s.target.Channel, s.target.Capacity+1, pieceSize)) })},
		{name: "capacity-unfinished", title: "pieces of a message that never ends, beyond the receive capacity", spec: "5.1", level: conform.Must,
			want: conform.Ends, needs: needsChannel,
			play: bulk(func(s *session) { s.Message(unfinished(s.target.Channel, s.target.Capacity+1)) })},
		{name: "budget", title: "unfinished messages of more than 20 MiB on several channels", spec: "5.4", level: conform.Should,
			want: conform.Ends, needs: needsBudget, slow: true,
			play: bulk(func(s *session) {
				left := recvBudget + pieceSize
				for _, c := range budgetChannels(s.target) {
					n := min(left, c.capacity)
					s.Message(unfinished(c.id, n))
					left -= n
				}
			})},
		{name: "interleaved", title: "messages of two channels whose pieces take turns", spec: "5.1", level: conform.Must, want: conform.Accepts,
			needs: needsAnswer, play: asking(func(s *session) {
				other := otherChannel(s.target)
				for _, b := range split(wire.AppendRequest(nil), s.target.Channel) {
					s.Message(wire.AppendMsg(nil, other, false, junk(1)))
					s.Message(b)
				}
			})},
		{name: "eof-2-goes-on", title: "a message that goes on after a piece with EOF 2", spec: "5.1", level: conform.Should, want: conform.Accepts,
			needs: needsAnswer, play: asking(func(s *session) {
				request, ch := wire.AppendRequest(nil), s.target.Channel
				s.Message(msg(field(1, ch), []byte{0x10, 0x02, 0x1a, 5}, request[:5]))
				s.Message(wire.AppendMsg(nil, ch, true, request[5:]))
			})},
		{name: "split-across-frames", title: "a packet that is spread over frames of one byte", spec: "3.3", level: conform.Must, want: conform.Accepts,
			needs: needsAnswer, play: asking(func(s *session) {
				for _, b := range wire.AppendMsg(nil, s.target.Channel, true, wire.AppendRequest(nil)) {
					s.Chunks([]byte{b})
				}
			})},
	})
}

// pieces is a whole message of n bytes in packets of the given payload.
func pieces(ch byte, n, size int) []byte {
	var b []byte
	for ; n > size; n -= size {
		b = wire.AppendMsg(b, ch, false, junk(size))
	}

	return wire.AppendMsg(b, ch, true, junk(n))
}

// unfinished is the begin of a message, of n bytes.
func unfinished(ch byte, n int) []byte {
	var b []byte
	for ; n > 0; n -= pieceSize {
		b = wire.AppendMsg(b, ch, false, junk(min(n, pieceSize)))
	}

	return b
}

// split cuts a message into packets of one byte.
func split(msg []byte, ch byte) (packets [][]byte) {
	for i := range msg {
		packets = append(packets, wire.AppendMsg(nil, ch, i == len(msg)-1, msg[i:i+1]))
	}

	return packets
}

// bulk is a connected play in which the node has time to take much data.
func bulk(script func(s *session)) playFunc {
	return connected(func(s *session) {
		s.SetPatience(max(bulkPatience, s.target.Patience))
		script(s)
	})
}

func needsNoChannel0(t *conform.Target) string {
	if slices.Contains(t.Info.Channels, 0) {
		return "the node has a channel 0"
	}

	return ""
}

// budgetChannel is a channel of real nodes that can hold unfinished data.
type budgetChannel struct {
	id       byte
	capacity int
}

// realChannels are those of docs/wire.md §7, with capacities that hold in all versions.
var realChannels = []budgetChannel{
	{0x30, 22020096}, {0x40, 8454144}, {0x50, 5242880}, {0x20, 1 << 20}, {0x21, 1 << 20}, {0x22, 1 << 20}, {0x23, 1 << 20},
}

func budgetChannels(t *conform.Target) (chosen []budgetChannel) {
	for _, c := range realChannels {
		if slices.Contains(t.Info.Channels, c.id) {
			chosen = append(chosen, c)
		}
	}

	return chosen
}

func needsBudget(t *conform.Target) string {
	sum := 0
	for _, c := range budgetChannels(t) {
		sum += c.capacity
	}
	if sum <= recvBudget+pieceSize {
		return fmt.Sprintf("the channels of the node hold %d bytes together, which is less than the budget", sum)
	}

	return ""
}

// otherChannel is a channel beside the target's.
func otherChannel(t *conform.Target) byte {
	for _, ch := range t.Info.Channels {
		if ch != t.Channel {
			return ch
		}
	}

	return t.UnknownChannel()
}

// needsAnswer is for cases that look at what the node makes of a discovery request.
func needsAnswer(t *conform.Target) string {
	why := needsAsking(t)
	switch {
	case why != "":
		return why
	case len(t.Info.Channels) < 2:
		return "the node has one channel only"
	case !t.Answers:
		return "the node does not answer discovery requests"
	default:
		return ""
	}
}

// asking is a play with two peers. The node knows the address of the first one, so that it can
// answer the request that the script makes as the second one.
func asking(script func(s *session)) playFunc {
	return func(ctx context.Context, t *conform.Target) (conform.Seen, error) {
		addrs, s, err := ask(ctx, t, script)
		if err != nil {
			return conform.Seen{}, err
		}
		defer s.Close()
		seen := s.seen()
		if seen.Outcome == conform.Accepts && len(addrs) == 0 {
			return differs("an empty answer"), nil
		}

		return seen, nil
	}
}
