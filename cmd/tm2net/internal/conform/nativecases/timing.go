package nativecases

import (
	"context"
	"fmt"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// What the page says a node does in time, and how much later a busy node may do it.
const (
	assemblyTimeout = 30 * time.Second
	pingInterval    = 60 * time.Second
	silenceLimit    = 105 * time.Second
	late            = 30 * time.Second
	// tooEarly is how much earlier than it should a node gives a peer up, so that an honest one
	// may be lost.
	tooEarly = 5 * time.Second

	// dripping is how long a handshake is spread, byte by byte.
	dripping  = 15 * time.Second
	dripPause = 50 * time.Millisecond
)

// timingCases are about deadlines and keep-alive.
func timingCases() conform.Catalog {
	return section("timing", []row{
		{name: "silent", title: "a peer that sends nothing", spec: "3", level: conform.Should, want: conform.Ends, roles: bothRoles,
			play: silentAfter(func(*session) {})},
		{name: "dripping-handshake", title: "a handshake of one byte at a time, longer than its deadline", spec: "3", level: conform.Should,
			want: conform.Ends, roles: bothRoles, play: drip},
		{name: "slow-handshake", title: "a handshake that takes a second", spec: "3", level: conform.Must, want: conform.Accepts, roles: bothRoles,
			play: handshake(func(s *session) {
				s.Exchange()
				frame := s.Frame(101, s.Auth(wire.AuthPlain), 0)
				for i := 0; i < len(frame); i += 105 {
					s.Drip(frame[i:i+1], 100*time.Millisecond, time.Second)
					s.Send(frame[i+1 : min(i+105, len(frame))])
				}
			})},
		{name: "assembly", title: "a message that is begun and not finished, with pings in between", spec: "5.4", level: conform.Should,
			want: conform.Ends, slow: true, needs: needsChannel, play: assembly},
		{name: "assembly-not-extended", title: "a message of which a piece comes every second", spec: "5.4", level: conform.Should,
			want: conform.Ends, slow: true, needs: needsChannel, play: assemblyGoesOn},
		{name: "ping", title: "the node pings a peer that sends nothing", spec: "5.2", level: conform.Must, want: conform.Accepts, slow: true, play: pings},
		{name: "no-pong", title: "a peer that answers no pings", spec: "5.2", level: conform.Must, want: conform.Ends, slow: true, play: noPong},
	})
}

// drip spreads the auth message over more time than the handshake has.
func drip(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	s, err := open(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	s.Exchange()
	s.Drip(s.Frame(101, s.Auth(wire.AuthPlain), 0), dripPause, dripping)
	seen := s.seen()
	if seen.Outcome == conform.Accepts {
		return conform.Seen{Outcome: conform.Silent, Detail: fmt.Sprintf("it still waits after %s", dripping)}, nil
	}

	return seen, nil
}

// endsWithin judges the time at which the node has ended the connection.
func endsWithin(seen conform.Seen, due time.Duration) conform.Seen {
	if seen.Outcome == conform.Ends && seen.After < due-tooEarly {
		return differs("it ends the connection after %s, and not after %s", seen.After.Round(time.Second), due)
	}

	return seen
}

func assembly(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	s, err := connect(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	s.Message(wire.AppendMsg(nil, t.Channel, false, junk(4)))
	for s.Failure() == nil && time.Since(s.begun) < assemblyTimeout+late {
		s.Ping()
		s.Watch(time.Second)
	}

	return s.endedInTime(assemblyTimeout), nil
}

func assemblyGoesOn(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	s, err := connect(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	for s.Failure() == nil && time.Since(s.begun) < assemblyTimeout+late {
		s.Message(wire.AppendMsg(nil, t.Channel, false, junk(4)))
		s.Watch(time.Second)
	}

	return s.endedInTime(assemblyTimeout), nil
}

// endedInTime is what the node did with a peer that it should have given up when due.
func (s *session) endedInTime(due time.Duration) conform.Seen {
	seen := s.seen()
	if seen.Outcome == conform.Accepts {
		return conform.Seen{Outcome: conform.Accepts, Detail: fmt.Sprintf("it keeps the connection for %s", seen.After.Round(time.Second))}
	}

	return endsWithin(seen, due)
}

func pings(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	s, err := connect(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	s.SetPatience(pingInterval + late)
	s.AwaitPing()

	return s.alive(), nil
}

func noPong(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	s, err := connect(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	s.SetPatience(silenceLimit + late)
	s.Drain()

	return endsWithin(s.seen(), silenceLimit), nil
}
