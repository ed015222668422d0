package sessioncases

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawsession"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// session is one libp2p connection of a case to the node.
type session struct {
	*rawsession.Client

	ctx     context.Context
	target  *conform.Target
	control *rawsession.Stream
	epoch   rawsession.Epoch
	used    []byte // channels that have their stream
	begun   time.Time
}

// open makes a connection and opens a control stream on it.
func open(ctx context.Context, t *conform.Target) (*session, error) {
	return openAs(ctx, t, types.GenerateNodeKey())
}

func openAs(ctx context.Context, t *conform.Target, key *types.NodeKey) (*session, error) {
	remote, err := peer.Decode(t.PeerID)
	if err != nil {
		return nil, fmt.Errorf("peer ID of the node: %w", err)
	}
	c, err := dial(ctx, t, key, remote)
	if err != nil {
		return nil, err
	}
	s := &session{Client: c, ctx: ctx, target: t, epoch: rawsession.NewEpoch(), begun: time.Now()}
	if s.control, err = c.Open(ctx, rawsession.SessionProtocol); err != nil {
		c.Close()

		return nil, fmt.Errorf("control stream: %w", err)
	}

	return s, nil
}

// dial connects to the node over TCP, or over QUIC where that is judged.
func dial(ctx context.Context, t *conform.Target, key *types.NodeKey, remote peer.ID) (c *rawsession.Client, err error) {
	if !t.QUIC {
		return rawsession.Dial(ctx, key.PrivKey, t.Addr, remote, t.Dial, t.Patience)
	}
	err = t.Reach(ctx, func(ctx context.Context) error {
		c, err = rawsession.DialQUIC(ctx, key.PrivKey, t.Addr, remote, t.Patience)

		return err
	})

	return c, err
}

// connect opens a session that the node accepts.
func connect(ctx context.Context, t *conform.Target) (*session, error) {
	s, err := open(ctx, t)
	if err != nil {
		return nil, err
	}
	s.control.Send(s.hello().Bytes())
	if seen := s.answer(); seen.Outcome != conform.Accepts {
		s.Close()

		return nil, fmt.Errorf("well-formed handshake: %s", seen)
	}
	s.begun = time.Now()

	return s, nil
}

// hello is a well-formed Hello.
func (s *session) hello() rawsession.Hello {
	return rawsession.Hello{Version: 1, Epoch: s.epoch[:], NodeInfo: wire.AppendNodeInfo(nil, s.info(s.ID()))}
}

// info is a well-formed NodeInfo with the ID.
func (s *session) info(id types.ID) *wire.NodeInfo { return s.target.InfoAs(id) }

// answer reads the node's answer to a Hello.
func (s *session) answer() conform.Seen {
	m, err := s.control.ReadControl()
	switch {
	case err != nil:
		return s.seen(err)
	case m.Kind == rawsession.KindReject:
		return s.told("Reject", m)
	case m.Kind != rawsession.KindAccept:
		return s.at(conform.Differs, fmt.Sprintf("a control message of kind %d in place of the answer", m.Kind))
	case !slices.Equal(m.Epoch, s.epoch[:]):
		return s.at(conform.Differs, "an Accept with another epoch")
	}
	info, err := wire.DecodeNodeInfo(m.NodeInfo)
	if err != nil {
		return s.at(conform.Malformed, err.Error())
	}
	if info.Network != s.target.Info.Network {
		return s.at(conform.Differs, fmt.Sprintf("an Accept with network %q", info.Network))
	}

	return s.at(conform.Accepts, "")
}

func (s *session) at(o conform.Outcome, detail string) conform.Seen {
	return conform.Seen{Outcome: o, Detail: detail, After: time.Since(s.begun)}
}

// maxText is how much of a text of the node is shown, in runes.
const maxText = 200

// told is an end with a code.
func (s *session) told(kind string, m rawsession.Message) conform.Seen {
	seen := s.at(conform.Ends, fmt.Sprintf("%s with code %d: %s", kind, m.Code, cli.OneLine(m.Text, maxText)))
	seen.Code = &m.Code

	return seen
}

// seen is what an error of a stream means.
func (s *session) seen(err error) conform.Seen {
	switch {
	case err == nil:
		return s.at(conform.Accepts, "")
	case rawsession.IsSilent(err):
		return s.at(conform.Silent, fmt.Sprintf("nothing within %s", s.target.Patience))
	case errors.Is(err, rawsession.ErrMalformed):
		return s.at(conform.Malformed, err.Error())
	default:
		return s.at(conform.Ends, err.Error())
	}
}

// data opens the stream of a channel and sends its header and bytes.
func (s *session) data(epoch rawsession.Epoch, channel byte, b ...byte) (*rawsession.Stream, error) {
	st, err := s.Open(s.ctx, rawsession.ChannelProtocol)
	if err != nil {
		return nil, err
	}
	s.used = append(s.used, channel)
	st.Send(append(append(epoch[:], channel), b...))

	return st, nil
}

// alive opens the stream of a channel that has none yet: a node whose session goes on takes it.
func (s *session) alive() conform.Seen {
	for _, ch := range s.target.Info.Channels {
		if slices.Contains(s.used, ch) {
			continue
		}
		st, err := s.data(s.epoch, ch)
		if err == nil {
			err = st.Rest()
		}

		return s.seen(err)
	}

	return s.at(conform.Differs, "the node has too few channels to tell")
}

// ended reads the control stream to the end of the session.
func (s *session) ended() conform.Seen {
	m, err := s.control.ReadControl()
	switch {
	case err != nil:
		return s.seen(err)
	case m.Kind == rawsession.KindGoodbye:
		return s.told("Goodbye", m)
	default:
		return s.at(conform.Differs, fmt.Sprintf("a control message of kind %d", m.Kind))
	}
}

// Honest connects a well-formed peer.
func Honest(ctx context.Context, t *conform.Target) error {
	s, err := connect(ctx, t)
	if err != nil {
		return err
	}
	s.Close()

	return nil
}

// Prepare finds out whether the target accepts a well-formed peer.
func Prepare(ctx context.Context, t *conform.Target) error {
	if err := Honest(ctx, t); err != nil {
		return fmt.Errorf("%w: %w", conform.ErrNotHonest, err)
	}

	return nil
}

type playFunc = func(context.Context, *conform.Target) (conform.Seen, error)

// handshake is a play that begins with a control stream and ends with the node's answer.
func handshake(script func(s *session)) playFunc {
	return func(ctx context.Context, t *conform.Target) (conform.Seen, error) {
		s, err := open(ctx, t)
		if err != nil {
			return conform.Seen{}, err
		}
		defer s.Close()
		script(s)

		return s.answer(), nil
	}
}

// hello is a play that sends a changed Hello.
func hello(change func(s *session, h *rawsession.Hello)) playFunc {
	return handshake(func(s *session) {
		h := s.hello()
		change(s, &h)
		s.control.Send(h.Bytes())
	})
}

// connected is a play that begins with a session.
func connected(script func(s *session) (conform.Seen, error)) playFunc {
	return func(ctx context.Context, t *conform.Target) (conform.Seen, error) {
		s, err := connect(ctx, t)
		if err != nil {
			return conform.Seen{}, err
		}
		defer s.Close()

		return script(s)
	}
}

// violation is a play in which the script sends something on a data stream, and the node has to
// end the session.
func violation(script func(s *session) error) playFunc {
	return connected(func(s *session) (conform.Seen, error) {
		if err := script(s); err != nil {
			return conform.Seen{}, err
		}

		return s.ended(), nil
	})
}
