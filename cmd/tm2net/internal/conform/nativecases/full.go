package nativecases

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
)

func needsMaxInbound(t *conform.Target) string {
	if t.MaxInbound == 0 {
		return "the inbound limit of the node is not known: name its max_num_inbound_peers with --max-inbound"
	}

	return needsTwo(t)
}

func needsOnePerIP(t *conform.Target) string {
	switch {
	case !t.OnePerIP:
		return "the node is not said to have allow_duplicate_ip = false (--one-per-ip)"
	case t.Addr.Addr().IsLoopback():
		return "no host is told from another at loopback"
	default:
		return ""
	}
}

// full connects one peer more than the node has inbound slots. Other peers of the node may have
// some of them. Then a peer leaves, and another has its place.
func full(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	var peers []*session
	defer func() {
		for _, s := range peers {
			s.Close()
		}
	}()
	for range t.MaxInbound + 1 {
		s, err := open(ctx, t)
		if err != nil {
			return conform.Seen{}, err
		}
		peers = append(peers, s)
		s.speak()
		s.verdict()
	}
	var stay []*session
	for _, s := range peers {
		if s.alive().Outcome == conform.Accepts {
			stay = append(stay, s)
		}
	}
	switch {
	case len(stay) > t.MaxInbound:
		return differs("%d peers of %d stay, and the limit is %d", len(stay), len(peers), t.MaxInbound), nil
	case len(stay) == 0:
		return differs("none of %d peers stays", len(peers)), nil
	}
	stay[0].leave()

	return letIn(ctx, t, fmt.Sprintf("%d of %d stay", len(stay), len(peers)))
}

// onePerIP connects two peers from one IP, and again when the first has left.
func onePerIP(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	first, err := connect(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer first.Close()
	second, err := open(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer second.Close()
	if a, b := host(first), host(second); a != b {
		return conform.Seen{}, fmt.Errorf("the connections come from two IPs, %s and %s", a, b)
	}
	second.speak()
	if seen := second.verdict(); seen.Outcome != conform.Ends {
		return differs("a second peer of the IP: %s", seen), nil
	}
	if seen := first.alive(); seen.Outcome != conform.Accepts {
		return differs("the first peer of the IP: %s", seen), nil
	}
	first.leave()

	return letIn(ctx, t, "the first stays")
}

// host is the IP from which a session comes.
func host(s *session) string {
	ip, _, err := net.SplitHostPort(s.LocalAddr().String())
	if err != nil {
		return err.Error()
	}

	return ip
}

// leave ends the connection, and returns when the node has noticed.
func (s *session) leave() {
	s.HangUp()
	s.Drain()
	s.Close()
}

// letInPause is between the first two attempts to have a place that has become free. It doubles.
const letInPause = 200 * time.Millisecond

// letIn tells whether a peer is let in. The node may take a moment to free a place.
func letIn(ctx context.Context, t *conform.Target, before string) (conform.Seen, error) {
	end := time.Now().Add(t.Patience)
	for pause := letInPause; ; pause *= 2 {
		s, err := connect(ctx, t)
		if err == nil {
			seen := s.alive()
			s.Close()
			seen.Detail = before

			return seen, nil
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return differs("%s; no peer is let in within %s of the end of one: %s", before, t.Patience, err), ctx.Err()
		}
		if err := conform.Pause(ctx, pause); err != nil {
			return conform.Seen{}, err
		}
	}
}
