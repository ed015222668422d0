package sessioncases

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawsession"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// answered is a play in which the node dials and sends a well-formed Hello. The script answers it.
func answered(script func(s *session) conform.Seen) playFunc {
	return func(ctx context.Context, t *conform.Target) (conform.Seen, error) {
		listener, key, err := t.Place()
		if err != nil {
			return conform.Seen{}, err
		}
		server, err := rawsession.Listen(key, listener, t.Patience)
		if err != nil {
			return conform.Seen{}, err
		}
		defer server.Close()
		s := &session{Client: &server.Client, ctx: ctx, target: t}
		if s.control, err = server.Control(ctx, t.AwaitDial); err != nil {
			return conform.Seen{}, err
		}
		s.begun = time.Now()
		m, err := s.control.ReadControl()
		if err != nil {
			return s.seen(err), nil
		}
		if wrong := s.wrongHello(m); wrong != "" {
			return s.at(conform.Malformed, wrong), nil
		}
		s.epoch = rawsession.Epoch(m.Epoch)

		return script(s), nil
	}
}

// wrongHello tells what is wrong with the node's Hello, or "".
func (s *session) wrongHello(m rawsession.Message) string {
	switch {
	case m.Kind != rawsession.KindHello:
		return fmt.Sprintf("the control stream begins with kind %d", m.Kind)
	case m.Code != 1:
		return fmt.Sprintf("a Hello of version %d without a delegation", m.Code)
	case len(m.Epoch) != len(s.epoch):
		return fmt.Sprintf("an epoch of %d bytes", len(m.Epoch))
	}
	info, err := wire.DecodeNodeInfo(m.NodeInfo)
	switch {
	case err != nil:
		return err.Error()
	case !strings.HasPrefix(info.NetAddress, s.target.ID.String()+"@") || info.Network != s.target.Info.Network:
		return fmt.Sprintf("the NodeInfo of %q in network %q", info.NetAddress, info.Network)
	default:
		return ""
	}
}

// replies is a play that answers with these bytes, and tells how the node ends the session.
func replies(answer func(s *session) []byte) playFunc {
	return answered(func(s *session) conform.Seen {
		s.control.Send(answer(s))

		return s.ended()
	})
}

// accepts is a play that answers with an Accept that has a changed NodeInfo.
func accepts(change func(s *session, i *wire.NodeInfo)) playFunc {
	return replies(func(s *session) []byte {
		i := s.info(s.ID())
		change(s, i)

		return rawsession.Accept(s.epoch, wire.AppendNodeInfo(nil, i))
	})
}

// dialedRows are about the sessions that the node opens (docs/sessions.md §4).
var dialedRows = []row{
	{name: "dialed", title: "the node's Hello is accepted", spec: "4", level: conform.Must, want: conform.Accepts,
		play: answered(func(s *session) conform.Seen {
			s.control.Send(rawsession.Accept(s.epoch, wire.AppendNodeInfo(nil, s.info(s.ID()))))

			return s.alive()
		})},
	{name: "dialed-reject", title: "the node's Hello is refused", spec: "4", level: conform.Must, want: conform.Ends,
		play: replies(func(*session) []byte { return rawsession.Reject(1, "no slot") })},
	{name: "dialed-silent", title: "the node's Hello is not answered", spec: "4", level: conform.Should, want: conform.Ends,
		play: replies(func(*session) []byte { return nil })},
	{name: "dialed-garbage", title: "the node's Hello is answered by bytes that are no control message", spec: "4", level: conform.Must, want: conform.Ends,
		play: replies(func(*session) []byte { return []byte("\x05hello") })},
	{name: "dialed-hello", title: "the node's Hello is answered by a Hello", spec: "4", level: conform.Must, want: conform.Ends,
		play: replies(func(s *session) []byte { return s.hello().Bytes() })},
	{name: "dialed-epoch-other", title: "an Accept with another epoch", spec: "4", level: conform.Must, want: conform.Ends,
		play: replies(func(s *session) []byte {
			return rawsession.Accept(rawsession.NewEpoch(), wire.AppendNodeInfo(nil, s.info(s.ID())))
		})},
	{name: "dialed-id-other", title: "an Accept with the ID of another node", spec: "4", level: conform.Must, want: conform.Ends, code: otherNode,
		play: accepts(func(_ *session, i *wire.NodeInfo) {
			i.NetAddress = types.GenerateNodeKey().ID().String() + "@192.0.2.1:26656"
		})},
	{name: "dialed-network-other", title: "an Accept with another network", spec: "4", level: conform.Must, want: conform.Ends, code: incompatible,
		play: accepts(func(_ *session, i *wire.NodeInfo) { i.Network += "-other" })},
	{name: "dialed-channels-disjoint", title: "an Accept with no channel in common", spec: "4", level: conform.Must, want: conform.Ends, code: incompatible,
		play: accepts(func(s *session, i *wire.NodeInfo) { i.Channels = []byte{s.target.UnknownChannel()} })},
	{name: "dialed-moniker-absent", title: "an Accept without a moniker", spec: "4", level: conform.Should, want: conform.Ends, code: invalid,
		play: accepts(func(_ *session, i *wire.NodeInfo) { i.Moniker = "" })},
}
