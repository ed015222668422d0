package sessioncases

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawsession"
)

const (
	assemblyTimeout = 30 * time.Second
	late            = 30 * time.Second
	tooEarly        = 5 * time.Second
)

func needsChannel(t *conform.Target) string {
	if !t.HasChannel {
		return "the node has no channel 0x50, on which it ignores what it does not know; name one with --channel"
	}
	if len(t.Info.Channels) < 3 {
		return "the node has less than three channels"
	}

	return ""
}

// sends is a violation by bytes on the stream of the target's channel.
func sends(b ...byte) playFunc {
	return violation(func(s *session) error {
		_, err := s.data(s.epoch, s.target.Channel, b...)

		return err
	})
}

func message(b ...byte) []byte { return protowire.AppendBytes(nil, b) }

// dataRows are about data streams (docs/sessions.md §5).
var dataRows = []row{
	{name: "stream-accepted", title: "the node ends its side of a data stream that it takes", spec: "5", level: conform.Must, want: conform.Accepts,
		play: connected(func(s *session) (conform.Seen, error) { return s.alive(), nil })},
	{name: "messages", title: "messages on a data stream", spec: "5", level: conform.Must, want: conform.Accepts, needs: needsChannel,
		play: connected(func(s *session) (conform.Seen, error) {
			st, err := s.data(s.epoch, s.target.Channel, slices.Concat(message(0xff), message(0xff, 0xff), message(0xff))...)
			if err != nil {
				return conform.Seen{}, err
			}
			if err := st.Rest(); err != nil {
				return s.seen(err), nil
			}

			return s.alive(), nil
		})},
	{name: "header-bytewise", title: "a header of one byte at a time", spec: "5", level: conform.Must, want: conform.Accepts,
		play: connected(func(s *session) (conform.Seen, error) {
			st, err := s.Open(s.ctx, rawsession.ChannelProtocol)
			if err != nil {
				return conform.Seen{}, err
			}
			for _, b := range append(s.epoch[:], s.target.Info.Channels[0]) {
				st.Send([]byte{b})
			}

			return s.seen(st.Rest()), nil
		})},
	{name: "epoch-unknown", title: "a data stream of an epoch that nobody has", spec: "5", level: conform.Must, want: conform.Accepts,
		play: connected(func(s *session) (conform.Seen, error) {
			st, err := s.data(rawsession.NewEpoch(), s.target.Info.Channels[0])
			if err != nil {
				return conform.Seen{}, err
			}
			s.used = nil

			return s.resetOnly(st), nil
		})},
	{name: "epoch-of-another", title: "a data stream of a session on another connection", spec: "5", level: conform.Must, want: conform.Accepts,
		play: foreignEpoch},
	{name: "header-stalled", title: "a header that is begun and not finished", spec: "5", level: conform.Should, want: conform.Accepts,
		play: connected(func(s *session) (conform.Seen, error) {
			st, err := s.Open(s.ctx, rawsession.ChannelProtocol)
			if err != nil {
				return conform.Seen{}, err
			}
			st.Send(s.epoch[:5])

			return s.resetOnly(st), nil
		})},
	{name: "channel-unknown", title: "a data stream of a channel that the node does not have", spec: "5", level: conform.Must, want: conform.Ends, code: violates,
		play: violation(func(s *session) error {
			_, err := s.data(s.epoch, s.target.UnknownChannel())

			return err
		})},
	{name: "stream-twice", title: "a second data stream of a channel", spec: "5", level: conform.Must, want: conform.Ends, code: violates,
		play: violation(func(s *session) error {
			for range 2 {
				if st, err := s.data(s.epoch, s.target.Info.Channels[0]); err != nil {
					return err
				} else if err := st.Rest(); err != nil && rawsession.IsSilent(err) {
					return err
				}
			}

			return nil
		})},
	{name: "message-empty", title: "a message of no bytes", spec: "5", level: conform.Must, want: conform.Ends, code: violates, needs: needsChannel, play: sends(0)},
	{name: "message-over", title: "a message of one byte more than the receive capacity is announced", spec: "5", level: conform.Must, want: conform.Ends, code: violates,
		needs: needsChannel, play: violation(func(s *session) error {
			_, err := s.data(s.epoch, s.target.Channel, protowire.AppendVarint(nil, uint64(s.target.Capacity)+1)...)

			return err
		})},
	{name: "message-capacity", title: "a message of exactly the receive capacity", spec: "5", level: conform.Must, want: conform.Accepts, needs: needsChannel,
		play: connected(func(s *session) (conform.Seen, error) {
			st, err := s.data(s.epoch, s.target.Channel, protowire.AppendVarint(nil, uint64(s.target.Capacity))...)
			if err != nil {
				return conform.Seen{}, err
			}
			st.Send(bytes.Repeat([]byte{0xff}, s.target.Capacity))

			return s.alive(), nil
		})},
	{name: "length-2-62", title: "a message of 2^62 bytes is announced", spec: "5", level: conform.Must, want: conform.Ends, code: violates, needs: needsChannel,
		play: sends(protowire.AppendVarint(nil, 1<<62)...)},
	{name: "length-endless", title: "a length of more than 64 bits", spec: "5", level: conform.Must, want: conform.Ends, code: violates, needs: needsChannel,
		play: sends(bytes.Repeat([]byte{0xff}, 11)...)},
	{name: "message-cut", title: "the stream ends inside a message", spec: "5", level: conform.Must, want: conform.Ends, needs: needsChannel,
		play: violation(func(s *session) error {
			st, err := s.data(s.epoch, s.target.Channel, 100, 0xff)
			if err == nil {
				st.End()
			}

			return err
		})},
	{name: "stream-reset", title: "a data stream is reset", spec: "7.3", level: conform.Must, want: conform.Ends,
		play: violation(func(s *session) error {
			st, err := s.data(s.epoch, s.target.Info.Channels[0])
			if err == nil {
				if err = st.Rest(); err == nil {
					st.Reset()
				}
			}

			return err
		})},
	{name: "stream-ends", title: "a data stream ends without a Goodbye before it", spec: "7.3", level: conform.Must, want: conform.Ends,
		play: violation(func(s *session) error {
			st, err := s.data(s.epoch, s.target.Info.Channels[0])
			if err == nil {
				st.End()
			}

			return err
		})},
	{name: "assembly", title: "a message that is begun and not finished", spec: "5", level: conform.Should, want: conform.Ends, code: invalid, slow: true,
		needs: needsChannel, play: connected(func(s *session) (conform.Seen, error) {
			if _, err := s.data(s.epoch, s.target.Channel, 100, 0xff); err != nil {
				return conform.Seen{}, err
			}
			s.control.SetPatience(assemblyTimeout + late)
			seen := s.ended()
			if seen.Outcome == conform.Ends && seen.After < assemblyTimeout-tooEarly {
				return s.at(conform.Differs, fmt.Sprintf("it ends the session after %s", seen.After)), nil
			}

			return seen, nil
		})},
}

// resetOnly tells whether the node resets the stream and nothing else.
func (s *session) resetOnly(st *rawsession.Stream) conform.Seen {
	err := st.Rest()
	switch {
	case err == nil:
		return s.at(conform.Differs, "the node takes the stream")
	case rawsession.IsSilent(err) || errors.Is(err, rawsession.ErrMalformed):
		return s.seen(err)
	default:
		return s.alive()
	}
}
