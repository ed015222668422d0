package nativecases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawnative"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// session is one connection of a case to the node.
type session struct {
	*rawnative.Peer

	target *conform.Target
	begun  time.Time
	as     types.ID // whom the NodeInfo names
	// sentInfo is how many bytes of the NodeInfo the script has sent.
	sentInfo int
	welcome  struct{ auth, info bool } // what of the node's handshake has been read
}

// open makes a fresh connection.
func open(ctx context.Context, t *conform.Target) (*session, error) {
	conn, key, err := t.Connect(ctx)
	if err != nil {
		return nil, err
	}
	p, err := rawnative.New(ctx, conn, key, t.Patience)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}

	return &session{Peer: p, target: t, begun: time.Now(), as: p.ID()}, nil
}

// connect opens a connection and does an honest handshake.
func connect(ctx context.Context, t *conform.Target) (*session, error) {
	s, err := open(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := s.shakeHands(s.info()); err != nil {
		s.Close()

		return nil, fmt.Errorf("well-formed handshake: %w", err)
	}

	return s, nil
}

// shakeHands does an honest handshake with a NodeInfo and waits until the node answers a ping.
func (s *session) shakeHands(info *wire.NodeInfo) error {
	s.Exchange()
	s.Chunks(s.Auth(wire.AuthPlain))
	s.Message(sized(info))
	s.greet()
	s.Ping() // the node has let the peer in
	s.begun = time.Now()

	return s.Failure()
}

// info is the well-formed NodeInfo of the peer.
func (s *session) info() *wire.NodeInfo { return s.target.InfoAs(s.as) }

func sized(info *wire.NodeInfo) []byte { return wire.AppendSized(nil, wire.AppendNodeInfo(nil, info)) }

// greet reads what the node sends in an honest handshake, as far as it has not been read.
func (s *session) greet() {
	if !s.welcome.auth {
		s.welcome.auth = true
		s.ReceiveAuth()
	}
	if !s.welcome.info {
		s.welcome.info = true
		s.ReceiveNodeInfo()
	}
}

// seen tells what the node has done: Accepts unless something failed.
func (s *session) seen() conform.Seen {
	seen := conform.Seen{Outcome: conform.Accepts, After: time.Since(s.begun)}
	err := s.Failure()
	switch {
	case err == nil:
		return seen
	case s.Ended():
		seen.Outcome = conform.Ends
	case errors.Is(err, os.ErrDeadlineExceeded):
		seen.Outcome, seen.Detail = conform.Silent, fmt.Sprintf("nothing within %s", s.target.Patience)
	default:
		seen.Outcome, seen.Detail = conform.Malformed, err.Error()
	}

	return seen
}

// alive asks whether the node still takes part, and tells what it does. It asks twice: the first
// pong may answer a ping that came before what the case is about.
func (s *session) alive() conform.Seen {
	s.Ping()
	s.Ping()

	return s.seen()
}

// ended waits for the end of the connection.
func (s *session) ended() conform.Seen {
	s.Drain()

	return s.seen()
}

// differs tells that the node did something else than the case says.
func differs(format string, args ...any) conform.Seen {
	return conform.Seen{Outcome: conform.Differs, Detail: fmt.Sprintf(format, args...)}
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

// The two roles of cases that a listener can play as well as a dialer.
var bothRoles = []conform.Role{conform.Dialing, conform.Listening}

// row is one line of the table of a section.
type row struct {
	name, title, spec string
	level             conform.Level
	want              conform.Outcome
	roles             []conform.Role
	slow, alone       bool
	risky             string
	needs             func(*conform.Target) string
	play              func(ctx context.Context, t *conform.Target) (conform.Seen, error)
}

func section(name string, rows []row) conform.Catalog {
	var cases conform.Catalog
	for _, r := range rows {
		cases = append(cases, conform.Case{
			Section: name, Name: r.name, Title: r.title, Spec: "docs/wire.md §" + r.spec, Level: r.level, Want: r.want,
			Roles: r.roles, Slow: r.slow, Alone: r.alone, Risky: r.risky, Needs: r.needs, Play: r.play,
		})
	}

	return cases
}

// Suite returns the cases of all sections.
func Suite() conform.Suite {
	return conform.Suite{Stack: "native", Honest: Honest, Cases: slices.Concat(
		stsCases(), authCases(), frameCases(), nodeInfoCases(), packetCases(), channelCases(), pexCases(), timingCases(), limitCases(),
	)}
}

// handshake is a play in which the script takes the part of the handshake up to the peer's
// NodeInfo. If it derives keys, a well-formed NodeInfo follows.
func handshake(script func(s *session)) func(context.Context, *conform.Target) (conform.Seen, error) {
	return func(ctx context.Context, t *conform.Target) (conform.Seen, error) {
		s, err := open(ctx, t)
		if err != nil {
			return conform.Seen{}, err
		}
		defer s.Close()
		script(s)
		if !s.HasKeys() {
			return s.ended(), nil
		}
		s.Message(sized(s.info())[s.sentInfo:])

		return s.verdict(), nil
	}
}

// verdict tells whether the node lets the peer in.
func (s *session) verdict() conform.Seen {
	s.greet()

	return s.alive()
}

// connected is a play that begins with a well-formed connection. The script's failure, or the
// answer to a ping after it, is what is seen.
func connected(script func(s *session)) func(context.Context, *conform.Target) (conform.Seen, error) {
	return func(ctx context.Context, t *conform.Target) (conform.Seen, error) {
		s, err := connect(ctx, t)
		if err != nil {
			return conform.Seen{}, err
		}
		defer s.Close()
		script(s)

		return s.alive(), nil
	}
}

type playFunc = func(context.Context, *conform.Target) (conform.Seen, error)

// silentAfter is a play in which nothing follows the script: the node has to give up.
func silentAfter(script func(s *session)) playFunc {
	return func(ctx context.Context, t *conform.Target) (conform.Seen, error) {
		s, err := open(ctx, t)
		if err != nil {
			return conform.Seen{}, err
		}
		defer s.Close()
		script(s)

		return s.ended(), nil
	}
}

// ownKey sends the node's own proof back to it, with a NodeInfo that names the node.
func ownKey(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	s, err := open(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	s.Exchange()
	auth := s.ReceiveAuth()
	s.welcome.auth = true
	s.Chunks(wire.AppendAuth(nil, auth))
	s.as = t.ID
	s.Message(sized(s.info()))

	return s.verdict(), nil
}
