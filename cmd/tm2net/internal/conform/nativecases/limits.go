package nativecases

import (
	"bytes"
	"context"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawnative"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

const (
	// crowd is how many peers stop inside the handshake at a time.
	crowd = 32
	// noise is how much a noisy peer sends, in bytes.
	noise = 4 << 20
)

// limitCases are about peers that others must not suffer from, and about two connections of one
// peer (docs/wire.md §4.5).
func limitCases() conform.Catalog {
	return section("limits", []row{
		{name: "same-id", title: "a peer connects a second time: one of the two connections stays", spec: "4.5", level: conform.Should,
			want: conform.Accepts, needs: needsTwo, play: sameID},
		{name: "reconnect", title: "a peer that has left comes back", spec: "4.5", level: conform.Must, want: conform.Accepts, play: reconnect},
		{name: "crossed-dials", title: "node and peer dial each other, and the node's dial is answered first: one connection stays", spec: "4.5",
			level: conform.Should, want: conform.Accepts, roles: []conform.Role{conform.Listening},
			play: crossed(func(theirs, ours *session) { theirs.join(); ours.speak() })},
		{name: "crossed-dials-late", title: "node and peer dial each other, and the node's dial is answered last: one connection stays", spec: "4.5",
			level: conform.Should, want: conform.Accepts, roles: []conform.Role{conform.Listening},
			play: crossed(func(theirs, ours *session) { ours.join(); theirs.speak() })},
		{name: "silent-crowd", title: fmt.Sprintf("%d connections that send nothing keep no peer out", crowd), spec: "3", level: conform.Should,
			want: conform.Accepts, needs: needsTwo, play: beside(func(*session) {})},
		{name: "half-crowd", title: fmt.Sprintf("%d connections that stop after the key exchange keep no peer out", crowd), spec: "3",
			level: conform.Should, want: conform.Accepts, needs: needsTwo, play: beside(func(s *session) { s.Exchange() })},
		{name: "noisy-peer", title: "a peer that sends 4 MiB holds up no other", spec: "5.3", level: conform.Should, want: conform.Accepts,
			needs: needsTwoAndChannel, play: besideNoise(func(s *session) []byte { return unfinished(s.target.Channel, noise) })},
		{name: "deaf-peer", title: "a peer that sends 20000 pings and reads nothing holds up no other", spec: "5.2", level: conform.Should,
			want: conform.Accepts, needs: needsTwo,
			play: besideNoise(func(*session) []byte { return bytes.Repeat(wire.AppendPing(nil), 20000) })},
		{name: "inbound-full", title: "one peer more connects than max_num_inbound_peers: not all stay, and when one leaves another is let in", spec: "4.5",
			level: conform.Should, want: conform.Accepts, alone: true, needs: needsMaxInbound, play: full},
		{name: "one-per-ip", title: "a second peer connects from an IP: it is let in when the first has left", spec: "4.5", level: conform.Should,
			want: conform.Accepts, alone: true, needs: needsOnePerIP, play: onePerIP},
	})
}

func needsTwo(t *conform.Target) string {
	if t.OneConn {
		return "the node lets in one peer of an IP (allow_duplicate_ip)"
	}

	return ""
}

func needsTwoAndChannel(t *conform.Target) string {
	if why := needsTwo(t); why != "" {
		return why
	}

	return needsChannel(t)
}

// again opens a connection to the node with the key of another session.
func (s *session) again(ctx context.Context) (*session, error) {
	conn, err := s.target.Dial(ctx)
	if err != nil {
		return nil, err
	}
	p, err := rawnative.New(ctx, conn, s.Key(), s.target.Patience)
	if err != nil {
		return nil, err
	}

	return &session{Peer: p, target: s.target, as: p.ID()}, nil
}

// speak sends all that an honest handshake has, and reads nothing but the ephemeral message.
func (s *session) speak() {
	s.exchangeAuth()
	s.Message(sized(s.info()))
}

// join speaks, and waits until the node has let the peer in.
func (s *session) join() {
	s.speak()
	s.greet()
	s.Ping()
}

func sameID(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	first, err := connect(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer first.Close()
	second, err := first.again(ctx)
	if err != nil {
		return conform.Seen{}, err
	}
	defer second.Close()
	second.speak()

	return oneStays("first", first, "second", second), nil
}

func reconnect(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	first, err := connect(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	first.HangUp()
	first.Drain() // the node has noticed
	first.Close()
	second, err := first.again(ctx)
	if err != nil {
		return conform.Seen{}, err
	}
	defer second.Close()
	second.speak()

	return second.verdict(), nil
}

// crossed answers the node's dial and dials it at the same time. The script takes the part of both
// handshakes.
func crossed(script func(theirs, ours *session)) playFunc {
	return func(ctx context.Context, t *conform.Target) (conform.Seen, error) {
		theirs, err := open(ctx, t)
		if err != nil {
			return conform.Seen{}, err
		}
		defer theirs.Close()
		ours, err := theirs.again(ctx)
		if err != nil {
			return conform.Seen{}, err
		}
		defer ours.Close()
		script(theirs, ours)

		return oneStays("node's dial", theirs, "peer's dial", ours), nil
	}
}

// oneStays tells which of two connections of a peer stays, as exactly one should.
func oneStays(nameA string, a *session, nameB string, b *session) conform.Seen {
	seenA, seenB := a.verdict(), b.verdict()
	if seenA.Outcome == conform.Accepts { // the other one may have taken its place since
		seenA = a.alive()
	}
	switch {
	case seenA.Outcome == conform.Accepts && seenB.Outcome == conform.Ends:
		seenA.Detail = "the " + nameA + " stays"

		return seenA
	case seenB.Outcome == conform.Accepts && seenA.Outcome == conform.Ends:
		seenB.Detail = "the " + nameB + " stays"

		return seenB
	default:
		return differs("the %s: %s; the %s: %s", nameA, seenA.Outcome, nameB, seenB.Outcome)
	}
}

// beside connects a well-formed peer while a crowd has stopped where the script ends.
func beside(script func(s *session)) playFunc {
	return func(ctx context.Context, t *conform.Target) (conform.Seen, error) {
		for range crowd {
			s, err := open(ctx, t)
			if err != nil {
				return conform.Seen{}, err
			}
			defer s.Close()
			script(s)
		}
		s, err := open(ctx, t)
		if err != nil {
			return conform.Seen{}, err
		}
		defer s.Close()
		s.speak()

		return s.verdict(), nil
	}
}

// besideNoise asks whether a peer is served while another one sends without reading.
func besideNoise(bytes func(s *session) []byte) playFunc {
	return func(ctx context.Context, t *conform.Target) (conform.Seen, error) {
		quiet, err := connect(ctx, t)
		if err != nil {
			return conform.Seen{}, err
		}
		defer quiet.Close()
		noisy, err := connect(ctx, t)
		if err != nil {
			return conform.Seen{}, err
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			noisy.Message(bytes(noisy))
		}()
		seen := quiet.alive()
		noisy.Close() // ends the sender
		<-done

		return seen, nil
	}
}
