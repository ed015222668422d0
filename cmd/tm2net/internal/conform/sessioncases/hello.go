package sessioncases

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform/rawsession"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// infoOf is a play whose Hello has a changed NodeInfo.
func infoOf(change func(s *session, i *wire.NodeInfo)) playFunc {
	return hello(func(s *session, h *rawsession.Hello) {
		i := s.info(s.ID())
		change(s, i)
		h.NodeInfo = wire.AppendNodeInfo(nil, i)
	})
}

// helloRows are about the handshake (docs/sessions.md §4).
var helloRows = []row{
	{name: "well-formed", title: "a well-formed Hello", spec: "4", level: conform.Must, want: conform.Accepts, play: handshake(func(s *session) {
		s.control.Send(s.hello().Bytes())
	})},
	{name: "hello-in-pieces", title: "a Hello of one byte at a time", spec: "4", level: conform.Must, want: conform.Accepts, play: handshake(func(s *session) {
		for _, b := range s.hello().Bytes() {
			s.control.Send([]byte{b})
		}
	})},
	{name: "version-unknown", title: "a Hello of version 99", spec: "3", level: conform.Must, want: conform.Ends, code: otherVersion,
		play: hello(func(_ *session, h *rawsession.Hello) { h.Version = 99 })},
	{name: "version-absent", title: "a Hello without a version", spec: "3", level: conform.Must, want: conform.Ends, code: violates,
		play: hello(func(_ *session, h *rawsession.Hello) { h.Version = 0 })},
	{name: "version-2-alone", title: "a Hello of version 2 without a delegation", spec: "3", level: conform.Must, want: conform.Ends, code: violates,
		play: hello(func(_ *session, h *rawsession.Hello) { h.Version = 2 })},
	{name: "epoch-15", title: "an epoch of 15 bytes", spec: "3", level: conform.Must, want: conform.Ends, code: violates,
		play: hello(func(_ *session, h *rawsession.Hello) { h.Epoch = h.Epoch[:15] })},
	{name: "unknown-field", title: "an unknown field in the Hello", spec: "2", level: conform.Must, want: conform.Ends, code: violates,
		play: hello(func(_ *session, h *rawsession.Hello) { h.Extra = []byte{0x48, 0x01} })},
	{name: "epoch-twice", title: "a field that comes after a later one", spec: "2", level: conform.Must, want: conform.Ends, code: violates,
		play: hello(func(_ *session, h *rawsession.Hello) { h.Extra = []byte{0x08, 0x01} })},
	{name: "garbage", title: "bytes that are no Hello", spec: "4", level: conform.Must, want: conform.Ends, code: violates,
		play: handshake(func(s *session) { s.control.Send([]byte("\x05hello")) })},
	{name: "kind-goodbye", title: "a Goodbye in place of the Hello", spec: "4", level: conform.Must, want: conform.Ends, code: violates,
		play: handshake(func(s *session) { s.control.Send(rawsession.Goodbye(0, "", false)) })},
	{name: "declared-16385", title: "a control message of more than 16384 bytes is announced", spec: "2", level: conform.Must, want: conform.Ends, code: violates,
		play: handshake(func(s *session) { s.control.Send([]byte{0xff, 0xff, 0x01}) })},
	{name: "cut", title: "the stream ends inside the Hello", spec: "4", level: conform.Must, want: conform.Ends,
		play: handshake(func(s *session) { s.control.Send(s.hello().Bytes()[:20]); s.control.End() })},
	{name: "silent", title: "no Hello comes", spec: "4", level: conform.Should, want: conform.Ends, play: handshake(func(s *session) { s.control.Send(nil) })},
	{name: "stalled", title: "a Hello that is begun and not finished", spec: "4", level: conform.Should, want: conform.Ends,
		play: handshake(func(s *session) { s.control.Send(s.hello().Bytes()[:20]) })},
	{name: "id-other", title: "a NodeInfo with the ID of another node", spec: "4", level: conform.Must, want: conform.Ends, code: otherNode,
		play: infoOf(func(_ *session, i *wire.NodeInfo) {
			i.NetAddress = types.GenerateNodeKey().ID().String() + "@192.0.2.1:26656"
		})},
	{name: "network-other", title: "another network", spec: "4", level: conform.Must, want: conform.Ends, code: incompatible,
		play: infoOf(func(_ *session, i *wire.NodeInfo) { i.Network += "-other" })},
	{name: "channels-disjoint", title: "no channel in common", spec: "4", level: conform.Must, want: conform.Ends, code: incompatible,
		play: infoOf(func(s *session, i *wire.NodeInfo) { i.Channels = []byte{s.target.UnknownChannel()} })},
	{name: "versions-major", title: "another major version of p2p", spec: "4", level: conform.Must, want: conform.Ends, code: incompatible, needs: needsVersions,
		play: infoOf(func(_ *session, i *wire.NodeInfo) {
			for n := range i.VersionSet {
				if i.VersionSet[n].Name == "p2p" {
					i.VersionSet[n].Version = "v2.0.0"
				}
			}
		})},
	{name: "moniker-absent", title: "no moniker", spec: "4", level: conform.Should, want: conform.Ends, code: invalid,
		play: infoOf(func(_ *session, i *wire.NodeInfo) { i.Moniker = "" })},
	{name: "channels-17", title: "17 channels", spec: "4", level: conform.Should, want: conform.Ends, code: invalid, play: infoOf(func(s *session, i *wire.NodeInfo) {
		i.Channels = append(i.Channels, s.target.FreeChannels(0x70, 17-len(i.Channels))...)
	})},
	{name: "node-info-absent", title: "an empty NodeInfo", spec: "4", level: conform.Must, want: conform.Ends, code: invalid,
		play: hello(func(_ *session, h *rawsession.Hello) { h.NodeInfo = nil })},
	{name: "epoch-in-use", title: "a second Hello with the epoch of a session", spec: "4", level: conform.Must, want: conform.Ends, code: violates, play: epochInUse},
	{name: "node-info", title: "a NodeInfo without a session", spec: "10", level: conform.Must, want: conform.Accepts, play: nodeInfo},
}

// needsVersions is for cases that change the version set of a real node.
func needsVersions(t *conform.Target) string {
	for _, v := range t.Info.VersionSet {
		if v.Name == "p2p" {
			return ""
		}
	}

	return "the node has no version of p2p"
}

// epochInUse opens a second control stream with the epoch of the session.
func epochInUse(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	s, err := connect(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	if s.control, err = s.Open(ctx, rawsession.SessionProtocol); err != nil {
		return conform.Seen{}, err
	}
	s.control.Send(s.hello().Bytes())

	return s.answer(), nil
}

// nodeInfo asks for the node's NodeInfo.
func nodeInfo(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	s, err := open(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	st, err := s.Open(ctx, rawsession.NodeInfoProtocol)
	if err != nil {
		return conform.Seen{}, err
	}
	body, err := st.Read(types.MaxNodeInfoSize)
	if err != nil {
		return s.seen(err), nil
	}
	info, err := wire.DecodeNodeInfo(body)
	if err != nil {
		return s.at(conform.Malformed, err.Error()), nil
	}
	if !strings.HasPrefix(info.NetAddress, t.ID.String()+"@") {
		return s.at(conform.Differs, fmt.Sprintf("the NodeInfo of %q", info.NetAddress)), nil
	}

	return s.at(conform.Accepts, ""), nil
}

// delegated is a play whose Hello is for another node. proof makes the delegation.
func delegated(proof func(s *session, key ed25519.PrivateKey) []byte) playFunc {
	return hello(func(s *session, h *rawsession.Hello) {
		key := types.GenerateNodeKey()
		h.NodeInfo = wire.AppendNodeInfo(nil, s.info(key.ID()))
		h.Delegation = proof(s, key.PrivKey)
	})
}

// expiry is a time in the range that nodes take.
func expiry() time.Time { return time.Now().Add(5 * time.Minute) }

// delegationRows are about sessions that a node presents for another one (docs/sessions.md §6).
var delegationRows = []row{
	{name: "delegation", title: "a session for another node, which has signed it", spec: "6", level: conform.Must, want: conform.Accepts,
		needs: func(t *conform.Target) string {
			if t.Bridge {
				return "a bridge presents nobody who is presented to it"
			}

			return ""
		},
		play: delegated(func(s *session, key ed25519.PrivateKey) []byte {
			return rawsession.Delegation(key, s.epoch, s.PeerID(), s.Remote(), expiry())
		})},
	{name: "delegation-expired", title: "a delegation that has expired", spec: "6", level: conform.Must, want: conform.Ends, code: forged,
		play: delegated(func(s *session, key ed25519.PrivateKey) []byte {
			return rawsession.Delegation(key, s.epoch, s.PeerID(), s.Remote(), time.Now().Add(-time.Hour))
		})},
	{name: "delegation-long", title: "a delegation that expires in a day", spec: "6", level: conform.Must, want: conform.Ends, code: forged,
		play: delegated(func(s *session, key ed25519.PrivateKey) []byte {
			return rawsession.Delegation(key, s.epoch, s.PeerID(), s.Remote(), time.Now().Add(24*time.Hour))
		})},
	{name: "delegation-other-epoch", title: "a delegation for another epoch", spec: "6", level: conform.Must, want: conform.Ends, code: forged,
		play: delegated(func(s *session, key ed25519.PrivateKey) []byte {
			return rawsession.Delegation(key, rawsession.NewEpoch(), s.PeerID(), s.Remote(), expiry())
		})},
	{name: "delegation-other-listener", title: "a delegation for another listener", spec: "6", level: conform.Must, want: conform.Ends, code: forged,
		play: delegated(func(s *session, key ed25519.PrivateKey) []byte {
			return rawsession.Delegation(key, s.epoch, s.PeerID(), s.PeerID(), expiry())
		})},
	{name: "delegation-forged", title: "a delegation with a wrong signature", spec: "6", level: conform.Must, want: conform.Ends, code: forged,
		play: delegated(func(s *session, key ed25519.PrivateKey) []byte {
			d := rawsession.Delegation(key, s.epoch, s.PeerID(), s.Remote(), expiry())
			d[40] ^= 1

			return d
		})},
	{name: "delegation-self", title: "a delegation by the key of the connection", spec: "6", level: conform.Must, want: conform.Ends, code: forged,
		play: hello(func(s *session, h *rawsession.Hello) {
			h.Delegation = rawsession.Delegation(s.Key, s.epoch, s.PeerID(), s.Remote(), expiry())
		})},
}
