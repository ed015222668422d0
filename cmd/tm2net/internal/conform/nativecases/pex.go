package nativecases

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// discoveryChannel is the channel of peer exchange (docs/wire.md §6).
const discoveryChannel = 0x50

// maxAddrs is how many addresses a response has at most.
const maxAddrs = 30

// pexRow is a discovery message that leaves the connection as it is, or ends it.
type pexRow struct {
	name, title string
	level       conform.Level
	want        conform.Outcome
	message     func(s *session) []byte
}

// pexCases are about discovery. Whoever dials the addresses that the node is told reaches nobody.
func pexCases() conform.Catalog {
	rows := []row{{
		name: "answer", title: "a request is answered by at most 30 addresses, each ID@IP:port", spec: "6", level: conform.Must, want: conform.Accepts,
		needs: needsAsking, play: answer,
	}, {
		name: "unspecified-untold", title: "no answer tells of a peer at the unspecified address", spec: "6", level: conform.Should, want: conform.Accepts,
		needs: needsAnswer, play: unspecifiedUntold,
	}}
	for _, r := range pexRows {
		rows = append(rows, row{
			name: r.name, title: r.title, spec: "6", level: r.level, want: r.want, needs: needsDiscovery,
			play: connected(func(s *session) { s.Message(packetsOf(discoveryChannel, r.message(s))) }),
		})
	}

	return section("pex", rows)
}

var pexRows = []pexRow{
	{"request", "a request", conform.Must, conform.Accepts, func(*session) []byte { return wire.AppendRequest(nil) }},
	{"response", "a response of one address that was not asked for", conform.Must, conform.Accepts, func(s *session) []byte { return s.told(1) }},
	{"response-30", "a response of 30 addresses", conform.Must, conform.Accepts, func(s *session) []byte { return s.told(maxAddrs) }},
	{"response-31", "a response of 31 addresses", conform.Must, conform.Accepts, func(s *session) []byte { return s.told(maxAddrs + 1) }},
	{"response-0", "a response of no addresses", conform.Must, conform.Accepts, func(*session) []byte { return []byte("\x0a\x0d/p2p.Response") }},
	{"response-bad-id", "an address with a bad ID", conform.Must, conform.Accepts, func(*session) []byte { return response("g1x@192.0.2.7:26656") }},
	{"response-no-id", "an address without an ID", conform.Must, conform.Accepts, func(*session) []byte { return response("192.0.2.7:26656") }},
	{"response-empty-entry", "an address of no bytes", conform.Must, conform.Accepts, func(*session) []byte { return []byte("\x0a\x0d/p2p.Response\x12\x02\x0a\x00") }},
	{"response-unspecified", "the unspecified address", conform.Must, conform.Accepts, func(*session) []byte { return response(someone() + "@0.0.0.0:26656") }},
	{"response-port-0", "port 0", conform.Must, conform.Accepts, func(*session) []byte { return response(someone() + "@192.0.2.7:0") }},
	{"response-node", "the node's own ID", conform.Must, conform.Accepts,
		func(s *session) []byte { return response(s.target.ID.String() + "@192.0.2.7:26656") }},
	{"unknown-type", "a type that nobody knows", conform.Must, conform.Accepts, func(*session) []byte { return []byte("\x0a\x09/p2p.Nope") }},
	{"url-no-slash", "a type URL without a slash", conform.Should, conform.Accepts, func(*session) []byte { return []byte("\x0a\x0bp2p.Request") }},
	{"garbage", "bytes that are no message", conform.Must, conform.Accepts, func(*session) []byte { return junk(12) }},
	{"empty", "a message of no bytes", conform.Must, conform.Ends, func(*session) []byte { return nil }},
}

func needsDiscovery(t *conform.Target) string {
	if slices.Contains(t.Info.Channels, discoveryChannel) {
		return ""
	}

	return "the node has no channel 0x50 (pex = true)"
}

// needsAsking is for the case that judges whether the node answers a request: of another peer, since nothing is
// told to the only one.
func needsAsking(t *conform.Target) string {
	switch {
	case t.OneConn:
		return "the node lets in one peer of an IP (allow_duplicate_ip), and nothing is told to the only peer"
	case t.Bridge && !t.Answers:
		return "a bridge passes requests on, and nobody behind it answers"
	default:
		return needsDiscovery(t)
	}
}

func someone() string { return types.GenerateNodeKey().ID().String() }

func response(addrs ...string) []byte { return wire.AppendResponse(nil, addrs) }

// told is a response of n addresses of nodes that there are not.
func (s *session) told(n int) []byte {
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = someone() + "@" + s.nowhere(1+i)
	}

	return response(addrs...)
}

// nowhere is an address at which nobody is: one of the ranges for documentation, or the lowest
// port of a loopback IP if the node is at one. There a dial fails at once, so that a node that
// dials one address after the other is not kept busy.
func (s *session) nowhere(n int) string {
	if s.target.Addr.Addr().IsLoopback() {
		return fmt.Sprintf("127.0.2.%d:1", n)
	}

	return fmt.Sprintf("192.0.2.%d:26656", n)
}

// packetsOf cuts a message into packets, as nodes do.
func packetsOf(ch byte, message []byte) (packets []byte) {
	for ; len(message) > pieceSize; message = message[pieceSize:] {
		packets = wire.AppendMsg(packets, ch, false, message[:pieceSize])
	}

	return wire.AppendMsg(packets, ch, true, message)
}

// ask connects a peer that the node may tell of, lets the script make a request as another
// peer, and returns the answer. The caller closes the session.
func ask(ctx context.Context, t *conform.Target, script func(s *session)) (addrs []string, s *session, err error) {
	known, err := introduce(ctx, t, "")
	if err != nil {
		return nil, nil, err
	}
	defer known.Close()
	if s, err = connect(ctx, t); err != nil {
		return nil, nil, err
	}
	script(s)
	addrs = s.answer()

	return addrs, s, nil
}

// introduce connects a peer that says that it listens at the IP, or at that of its connection.
func introduce(ctx context.Context, t *conform.Target, ip string) (*session, error) {
	s, err := open(ctx, t)
	if err != nil {
		return nil, err
	}
	if ip == "" {
		tcp, ok := s.LocalAddr().(*net.TCPAddr)
		if !ok {
			s.Close()

			return nil, errors.New("the connection has no IP")
		}
		ip = tcp.IP.String()
	}
	info := s.info()
	info.NetAddress = s.ID().String() + "@" + net.JoinHostPort(ip, "26656")
	if err := s.shakeHands(info); err != nil {
		s.Close()

		return nil, fmt.Errorf("well-formed handshake: %w", err)
	}

	return s, nil
}

// answer waits for the node's response and returns its addresses. The node may ask meanwhile.
func (s *session) answer() []string {
	for s.Failure() == nil {
		message := s.AwaitMessage(discoveryChannel)
		if s.Failure() != nil {
			break
		}
		addrs, request, err := wire.DecodeDiscovery(message)
		if err != nil {
			s.Fail(fmt.Errorf("discovery message of the node: %w", err))
		} else if !request {
			return addrs
		}
	}

	return nil
}

// Answers reports whether the node answers a request.
func Answers(ctx context.Context, t *conform.Target) bool {
	_, s, err := ask(ctx, t, request)
	if err != nil {
		return false
	}
	defer s.Close()

	return s.Failure() == nil
}

func request(s *session) { s.Message(packetsOf(discoveryChannel, wire.AppendRequest(nil))) }

func answer(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	addrs, s, err := ask(ctx, t, request)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	if seen := s.seen(); seen.Outcome != conform.Accepts {
		return seen, nil
	}
	if len(addrs) > maxAddrs {
		return differs("%d addresses", len(addrs)), nil
	}
	for _, text := range addrs {
		if _, err := types.ParseNetAddress(text); err != nil {
			return differs("address %q: %v", text, err), nil
		}
	}

	return s.seen(), nil
}

// unspecifiedUntold connects a peer that shows no address, and looks for it in an answer.
func unspecifiedUntold(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	hidden, err := introduce(ctx, t, "0.0.0.0")
	if err != nil {
		return conform.Seen{}, err
	}
	defer hidden.Close()
	addrs, s, err := ask(ctx, t, request)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	for _, text := range addrs {
		if strings.HasPrefix(text, hidden.ID().String()+"@") {
			return differs("it tells %s", text), nil
		}
	}

	return s.seen(), nil
}
