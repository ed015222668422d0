package lp2p

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/control"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p/internal/stream"
)

// afterEnd is how many more control messages are read after the session has ended: a
// goodbye and an answer may be under way.
const afterEnd = 4

// readLoop reads the control stream until it ends.
func (s *session) readLoop() {
	defer close(s.controlDone)

	for extra := 0; extra < afterEnd; {
		m, err := control.Read(s.control)
		if err != nil && s.ctx.Err() != nil {
			return
		}
		if stream.IsLost(err) {
			s.fail(s.endCause(err))

			return
		}
		if err != nil {
			// The remote may still read, and gets the goodbye that cleanup sends.
			_ = s.control.SetReadDeadline(time.Now().Add(2 * s.t.opts.timeouts.Linger))
			s.fail(s.endCause(err))
			s.control.Drain()

			return
		}
		g, ok := m.(*control.Goodbye)
		if ok && !g.Answer {
			s.t.metrics.goodbyes.received.count(outcomeOfCode(g.Code))
		}
		if s.ctx.Err() != nil {
			extra++

			continue
		}

		switch {
		case !ok:
			s.fail(control.Violation("control message of kind %d after the handshake", m.Kind()))
		case g.Answer:
			s.onAnswer(g)
		default:
			s.onGoodbye(g)
		}
	}
}

// endCause chooses the reason to report when the control stream fails.
func (s *session) endCause(err error) error {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	switch {
	case s.byeRecvd != nil:
		return &GoodbyeError{Code: s.byeRecvd.Code, Text: s.byeRecvd.Text}
	case s.broken != nil:
		return s.broken
	case s.cut != nil && !stream.IsLost(err): // a connection that breaks takes an unread goodbye with it
		return s.cut
	case stream.IsEnd(err):
		return errEOF
	default:
		return &controlError{err}
	}
}

// onAnswer lets flush return.
func (s *session) onAnswer(g *control.Goodbye) {
	s.mtx.Lock()
	asked := s.byeSent && !s.byeAnswered
	if asked {
		s.byeAnswered = true
		close(s.answered)
	}
	s.mtx.Unlock()

	if !asked {
		s.fail(control.Violation("answer without a goodbye"))
	} else if !slices.Equal(g.Counts, s.out.sent()) {
		s.warn("remote did not receive everything before the stop")
	}
}

// onGoodbye waits for the delivery of what the remote has announced, answers, and ends the
// session with the remote's reason.
func (s *session) onGoodbye(g *control.Goodbye) {
	s.mtx.Lock()
	ended, second := s.ended, s.byeRecvd != nil
	if !ended && !second {
		s.byeRecvd = g
		_ = s.control.SetReadDeadline(time.Time{}) // a failed data stream may have set one
	}
	s.mtx.Unlock()
	if second {
		s.fail(control.Violation("second goodbye"))
	}
	if ended || second {
		return
	}

	s.out.refuse() // the remote receives no more
	s.awaitDelivery(g.Counts)
	if s.isFlushing() {
		// Our goodbye comes before the answer, which lets the remote stop. So the remote
		// delivers what we announce, and answers, before it reads on.
		select {
		case <-s.announced:
		case <-s.ctx.Done():
		}
	}
	if err := s.say(&control.Goodbye{Answer: true, Counts: s.delivered()}); err != nil {
		s.logger.Debug("goodbye was not answered", "err", err)
	}
	if !s.isFlushing() { // flush still waits for its own answer
		s.fail(&GoodbyeError{Code: g.Code, Text: g.Text})
	}
}

func (s *session) isFlushing() bool {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	return s.flushing
}

// awaitDelivery waits until the reactors have received the announced messages, or until
// the missing ones cannot arrive any more, at most for the flush timeout.
func (s *session) awaitDelivery(counts []control.ChannelCount) {
	timer := time.NewTimer(s.t.opts.timeouts.Flush)
	defer timer.Stop()

	for {
		c, received, missing := s.outstanding(counts)
		if !missing {
			return
		}
		select {
		case <-s.delivery.C():
		case <-timer.C:
			s.warn("messages that the remote has announced did not reach their reactor in time",
				"channel", fmt.Sprintf("%#02x", c.Channel), "announced", c.Messages, "received", received)

			return
		case <-s.ctx.Done():
			return
		}
	}
}

// outstanding reports whether an announced message is missing and may still come, and on which
// channel, of which the reactor has received so many.
func (s *session) outstanding(counts []control.ChannelCount) (c control.ChannelCount, received uint64, missing bool) {
	s.mtx.Lock()
	defer s.mtx.Unlock()
	if s.broken != nil {
		return c, 0, false
	}
	for _, c := range counts {
		received := uint64(0)
		if in := s.inbound[c.Channel]; in != nil {
			received = in.delivered.Load()
		}
		if received < c.Messages {
			return c, received, true
		}
	}

	return c, 0, false
}

// warn logs what a remote can cause with every session.
func (s *session) warn(msg string, args ...any) {
	s.t.logInbound(slog.LevelWarn, s.conn, msg, "goodbye", append(args, "session", s.key.epoch)...)
}

// delivered counts the messages that the reactors have received.
func (s *session) delivered() []control.ChannelCount {
	s.mtx.Lock()
	defer s.mtx.Unlock()

	counts := make(map[byte]uint64)
	for ch, in := range s.inbound {
		counts[ch] = in.delivered.Load()
	}

	return control.Counts(counts)
}

// say sends a goodbye or an answer, within the linger timeout.
func (s *session) say(m *control.Goodbye) error {
	s.controlMtx.Lock()
	defer s.controlMtx.Unlock()
	if err := s.control.SetWriteDeadline(time.Now().Add(s.t.opts.timeouts.Linger)); err != nil {
		return err
	}
	if _, err := s.control.Write(control.Append(nil, m)); err != nil {
		return err
	}
	if !m.Answer {
		s.t.metrics.goodbyes.sent.count(outcomeOfCode(m.Code))
	}

	return nil
}

// flush waits until the remote's reactors have received everything that was accepted: it
// accepts no more messages, waits for the writers, announces what was sent, and waits for
// the answer. It gives up when the session ends, or after the flush timeout.
func (s *session) flush(reason error) {
	s.mtx.Lock()
	if s.ended || !s.isStarted {
		s.mtx.Unlock()

		return
	}
	s.flushing = true
	s.mtx.Unlock()

	timer := time.NewTimer(s.t.opts.timeouts.Flush)
	defer timer.Stop()
	if !s.announce(reason, timer.C) {
		return
	}

	select {
	case <-s.answered:
	case <-s.ctx.Done():
	case <-timer.C:
		s.warn("remote did not confirm the delivery before the stop")
	}
}

// announce waits until what was accepted is written, says goodbye, and ends the data
// streams. It reports whether it has done so before the deadline.
func (s *session) announce(reason error, deadline <-chan time.Time) bool {
	defer close(s.announced)
	select {
	case <-s.out.refuse():
	case <-s.ctx.Done():
		return false
	case <-deadline:
		s.warn("not everything was sent before the stop")

		return false
	}

	s.mtx.Lock()
	s.byeSent = true
	s.mtx.Unlock()
	bye := goodbyeFor(reason)
	bye.Counts = s.out.sent()
	if err := s.say(bye); err != nil {
		s.logger.Debug("goodbye was not sent", "err", err)

		return false
	}
	for _, st := range s.out.streams() {
		_ = st.CloseWrite() // if it fails the remote sees the session end instead
	}

	return true
}
