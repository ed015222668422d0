package sessioncases

import (
	"context"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawsession"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// control is a violation by bytes on the control stream of a session.
func control(b func(s *session) []byte) playFunc {
	return violation(func(s *session) error {
		s.control.Send(b(s))

		return nil
	})
}

// endRows are about the end of a session, and about peers beside it (docs/sessions.md §7).
var endRows = []row{
	{name: "goodbye", title: "a Goodbye is answered", spec: "7.1", level: conform.Must, want: conform.Accepts,
		play: connected(func(s *session) (conform.Seen, error) {
			s.control.Send(rawsession.Goodbye(0, "", false))

			return s.goodbyeAnswered(), nil
		})},
	{name: "goodbye-counts", title: "a Goodbye with counts is answered", spec: "7.2", level: conform.Must, want: conform.Accepts, needs: needsChannel,
		play: connected(func(s *session) (conform.Seen, error) {
			st, err := s.data(s.epoch, s.target.Channel, message(0xff)...)
			if err != nil {
				return conform.Seen{}, err
			}
			s.control.Send(rawsession.Goodbye(0, "", false, [2]uint64{uint64(s.target.Channel), 1}))
			st.End()

			return s.goodbyeAnswered(), nil
		})},
	{name: "answer-unasked", title: "an answer to a Goodbye that was not sent", spec: "7.2", level: conform.Must, want: conform.Ends, code: violates,
		play: control(func(*session) []byte { return rawsession.Goodbye(0, "", true) })},
	{name: "hello-again", title: "a Hello on the control stream of a session", spec: "4", level: conform.Must, want: conform.Ends, code: violates,
		play: control(func(s *session) []byte { return s.hello().Bytes() })},
	{name: "control-garbage", title: "bytes that are no control message", spec: "2", level: conform.Must, want: conform.Ends, code: violates,
		play: control(func(*session) []byte { return []byte("\x05hello") })},
	{name: "control-huge", title: "a control message of more than 16384 bytes is announced", spec: "2", level: conform.Must, want: conform.Ends, code: violates,
		play: control(func(*session) []byte { return []byte{0xff, 0xff, 0x01} })},
	{name: "counts-descending", title: "a Goodbye whose counts are not ascending", spec: "3", level: conform.Must, want: conform.Ends, code: violates,
		play: control(func(*session) []byte {
			return rawsession.Goodbye(0, "", false, [2]uint64{0x50, 1}, [2]uint64{0x20, 1})
		})},
	{name: "control-ends", title: "the control stream ends", spec: "7.3", level: conform.Must, want: conform.Ends,
		play: violation(func(s *session) error { s.control.End(); return nil })},
	{name: "control-reset", title: "the control stream is reset", spec: "7.3", level: conform.Must, want: conform.Ends, needs: needsTwoChannels,
		play: connected(func(s *session) (conform.Seen, error) {
			st, err := s.data(s.epoch, s.target.Info.Channels[0])
			if err != nil {
				return conform.Seen{}, err
			}
			if err := st.Rest(); err != nil {
				return s.seen(err), nil
			}
			s.control.Reset()

			return s.gone(), nil
		})},
	{name: "session-twice", title: "a peer opens a second session: one of the two stays", spec: "4", level: conform.Should,
		want: conform.Accepts, play: twice},
}

// goodbyeAnswered tells whether the node answers a Goodbye.
func (s *session) goodbyeAnswered() conform.Seen {
	m, err := s.control.ReadControl()
	switch {
	case err != nil:
		return s.seen(err)
	case m.Kind != rawsession.KindGoodbye || !m.Answer:
		return s.at(conform.Differs, fmt.Sprintf("a control message of kind %d (answer: %t)", m.Kind, m.Answer))
	default:
		return s.at(conform.Accepts, "")
	}
}

// needsTwoChannels is for a case that opens the stream of a channel when it has used that of another.
func needsTwoChannels(t *conform.Target) string {
	if len(t.Info.Channels) < 2 {
		return "the node has one channel only"
	}

	return ""
}

// gone tells whether the session is unknown now: the node resets its streams.
func (s *session) gone() conform.Seen {
	for _, ch := range s.target.Info.Channels[1:] {
		st, err := s.data(s.epoch, ch)
		if err != nil {
			return s.at(conform.Ends, err.Error())
		}
		if err := st.Rest(); err != nil {
			return s.seen(err)
		}
	}

	return s.at(conform.Accepts, "the session goes on")
}

// twice opens a second session from another connection of the same peer.
func twice(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	first, err := connect(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer first.Close()
	second, err := openAs(ctx, t, &types.NodeKey{PrivKey: first.Key})
	if err != nil {
		return conform.Seen{}, err
	}
	defer second.Close()
	second.control.Send(second.hello().Bytes())
	again := second.answer()
	if again.Outcome == conform.Accepts { // a Goodbye may follow
		again = second.alive()
	}
	former := first.alive()
	switch {
	case again.Outcome == conform.Ends && former.Outcome == conform.Accepts:
		return first.at(conform.Accepts, "the first stays"), nil
	case former.Outcome == conform.Ends && again.Outcome == conform.Accepts:
		return first.at(conform.Accepts, "the second stays"), nil
	default:
		return first.at(conform.Differs, fmt.Sprintf("the first: %s; the second: %s", former.Outcome, again.Outcome)), nil
	}
}

// foreignEpoch sends a header with the epoch of another connection's session.
func foreignEpoch(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	first, err := connect(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer first.Close()
	second, err := connect(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer second.Close()
	st, err := second.data(first.epoch, t.Info.Channels[0])
	if err != nil {
		return conform.Seen{}, err
	}
	second.used = nil
	if seen := second.resetOnly(st); seen.Outcome != conform.Accepts {
		return seen, nil
	}

	return first.alive(), nil
}
