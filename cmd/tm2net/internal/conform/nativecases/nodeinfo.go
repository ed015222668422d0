package nativecases

import (
	"context"
	"slices"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/conform"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// nodeInfoLimit is the largest sized NodeInfo (docs/wire.md §4).
const nodeInfoLimit = 10240

// infoRow is a NodeInfo: a change of a well-formed one, or of its bytes.
type infoRow struct {
	name, title, spec string
	level             conform.Level
	want              conform.Outcome
	edit              func(s *session, i *wire.NodeInfo)
	bytes             func(body []byte) []byte // of the body; the result is sent as it is
	risky             string
}

const crashes = "gno up to v1.1.0 ends when a NodeInfo without an address comes"

// nodeInfoCases are about what a peer says of itself.
func nodeInfoCases() conform.Catalog {
	var rows []row
	for _, r := range append(append(infoRows, addressRows...), infoByteRows...) {
		one := row{
			name: r.name, title: r.title, spec: r.spec, level: r.level, want: r.want, risky: r.risky, roles: bothRoles, play: r.play,
		}
		if strings.HasPrefix(r.name, "versions-") {
			one.needs = needsVersions
		}
		rows = append(rows, one)
	}
	rows = append(rows, row{
		name: "silent", title: "no NodeInfo comes", spec: "3", level: conform.Should, want: conform.Ends, roles: bothRoles,
		play: silentAfter(func(s *session) { s.exchangeAuth() }),
	}, row{
		name: "empty-frame", title: "a frame without content where the NodeInfo is due", spec: "3.3", level: conform.Should, want: conform.Ends, risky: crashes,
		play: handshake(func(s *session) { s.exchangeAuth(); s.Chunks(nil) }),
	}, row{
		name: "bytewise", title: "a NodeInfo of one byte a frame", spec: "3.3", level: conform.Must, want: conform.Accepts, roles: bothRoles,
		play: handshake(func(s *session) {
			s.exchangeAuth()
			info := sized(s.info())
			for i := range info[:len(info)-1] {
				s.Chunks(info[i : i+1])
			}
			s.sentInfo = len(info) - 1
		}),
	}, row{
		name: "cut", title: "the stream ends inside the NodeInfo", spec: "4", level: conform.Must, want: conform.Ends,
		play: silentAfter(func(s *session) { s.exchangeAuth(); s.Chunks(sized(s.info())[:20]); s.HangUp() }),
	}, row{
		name: "wrong-node", title: "another node answers than the one that was dialed", spec: "4.3", level: conform.Must, want: conform.Ends,
		roles: []conform.Role{conform.Listening}, play: wrongNode,
	})

	return section("nodeinfo", rows)
}

// needsVersions is for cases that change the version set of a real node.
func needsVersions(t *conform.Target) string {
	if slices.ContainsFunc(t.Info.VersionSet, func(v wire.VersionInfo) bool { return v.Name == "p2p" }) {
		return ""
	}

	return "the node has no version of p2p"
}

func (r infoRow) play(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	s, err := open(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	s.exchangeAuth()
	info := s.info()
	if r.edit != nil {
		r.edit(s, info)
	}
	if r.bytes != nil {
		s.Message(r.bytes(wire.AppendNodeInfo(nil, info)))
	} else {
		s.Message(sized(info))
	}

	return s.verdict(), nil
}

var infoRows = []infoRow{
	{name: "network-other", title: "another network", spec: "4.3", level: conform.Must, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.Network += "-other" }},
	{name: "network-absent", title: "no network", spec: "4.3", level: conform.Must, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.Network = "" }},
	{name: "network-case", title: "a network that differs by case", spec: "4.3", level: conform.Must, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.Network = swapCase(i.Network) }},
	{name: "version-absent", title: "no version", spec: "4.3", level: conform.Should, want: conform.Accepts,
		edit: func(_ *session, i *wire.NodeInfo) { i.Version = "" }},
	{name: "version-nonascii", title: "a version with a byte that is not ASCII", spec: "4.3", level: conform.Should, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.Version = "v1\xff" }},
	{name: "version-spaces", title: "a version of spaces", spec: "4.3", level: conform.Should, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.Version = "   " }},
	{name: "moniker-absent", title: "no moniker", spec: "4.3", level: conform.Should, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.Moniker = "" }},
	{name: "moniker-tab", title: "a moniker with a tab", spec: "4.3", level: conform.Should, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.Moniker = "a\tb" }},
	{name: "moniker-spaces", title: "a moniker of spaces", spec: "4.3", level: conform.Should, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.Moniker = "  " }},
	{name: "moniker-utf8", title: "a moniker that is not ASCII", spec: "4.3", level: conform.Should, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.Moniker = "nœud" }},
	{name: "rpc-nonascii", title: "an RPC address that is not ASCII", spec: "4.3", level: conform.Should, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.RPCAddress = "tcp://\xff" }},
	{name: "tx-index", title: "a tx index other than on and off", spec: "4.3", level: conform.Should, want: conform.Accepts,
		edit: func(_ *session, i *wire.NodeInfo) { i.TxIndex = "perhaps" }},
	{name: "other-absent", title: "neither tx index nor RPC address", spec: "4.3", level: conform.Should, want: conform.Accepts,
		edit: func(_ *session, i *wire.NodeInfo) { i.TxIndex = "" }},
	{name: "channels-17", title: "17 channels", spec: "4.3", level: conform.Should, want: conform.Ends, edit: channels(17)},
	{name: "channels-16", title: "16 channels", spec: "4.3", level: conform.Must, want: conform.Accepts, edit: channels(16)},
	{name: "channel-twice", title: "a channel twice", spec: "4.3", level: conform.Should, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.Channels = append(i.Channels, i.Channels[0]) }},
	{name: "channels-absent", title: "no channels", spec: "4.3", level: conform.Must, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.Channels = nil }},
	{name: "channels-disjoint", title: "no channel in common", spec: "4.3", level: conform.Must, want: conform.Ends,
		edit: func(s *session, i *wire.NodeInfo) { i.Channels = []byte{s.target.UnknownChannel()} }},
	{name: "versions-absent", title: "no version set", spec: "4.3", level: conform.Must, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.VersionSet = nil }},
	{name: "versions-more", title: "a version more that is required", spec: "4.3", level: conform.Must, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) {
			i.VersionSet = append(i.VersionSet, wire.VersionInfo{Name: "zzz", Version: "v1.0.0"})
		}},
	{name: "versions-optional", title: "a version more that is optional", spec: "4.3", level: conform.Must, want: conform.Accepts,
		edit: func(_ *session, i *wire.NodeInfo) {
			i.VersionSet = append(i.VersionSet, wire.VersionInfo{Name: "zzz", Version: "v1.0.0", Optional: true})
		}},
	{name: "versions-major", title: "another major version of p2p", spec: "4.3", level: conform.Must, want: conform.Ends, edit: version("p2p", "v2.0.0")},
	{name: "versions-no-v", title: "a version of p2p without v, which has no major", spec: "4.3", level: conform.Must, want: conform.Ends,
		edit: version("p2p", "1.0.0-rc.0")},
	{name: "versions-minor", title: "another minor version of p2p", spec: "4.3", level: conform.Must, want: conform.Accepts, edit: version("p2p", "v1.9.0")},
	{name: "versions-twice", title: "p2p twice, the second with another major: the last one counts", spec: "4.3", level: conform.Must, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) {
			i.VersionSet = append(i.VersionSet, wire.VersionInfo{Name: "p2p", Version: "v2.0.0"})
		}},
	{name: "versions-unsorted", title: "versions in another order", spec: "4.3", level: conform.Must, want: conform.Accepts,
		edit: func(_ *session, i *wire.NodeInfo) {
			n := len(i.VersionSet)
			i.VersionSet[0], i.VersionSet[n-1] = i.VersionSet[n-1], i.VersionSet[0]
		}},
	{name: "versions-nameless", title: "a required version without a name", spec: "4.3", level: conform.Must, want: conform.Ends,
		edit: func(_ *session, i *wire.NodeInfo) { i.VersionSet = append(i.VersionSet, wire.VersionInfo{}) }},
}

var addressRows = []infoRow{
	{name: "address-absent", title: "no address", spec: "4.4", level: conform.Must, want: conform.Ends, risky: crashes,
		edit: func(_ *session, i *wire.NodeInfo) { i.NetAddress = "" }},
	{name: "empty", title: "an empty NodeInfo", spec: "4.4", level: conform.Must, want: conform.Ends, risky: crashes,
		edit: func(_ *session, i *wire.NodeInfo) { *i = wire.NodeInfo{} }},
	{name: "id-other", title: "the ID of another node", spec: "4.3", level: conform.Must, want: conform.Ends,
		edit: func(s *session, i *wire.NodeInfo) { i.NetAddress = s.target.ID.String() + "@192.0.2.1:26656" }},
	{name: "id-upper", title: "the ID in upper case", spec: "4.1", level: conform.Must, want: conform.Ends,
		edit: func(s *session, i *wire.NodeInfo) {
			i.NetAddress = strings.ToUpper(s.ID().String()) + "@192.0.2.1:26656"
		}},
	{name: "id-bare", title: "a bare ID, as in dialect A", spec: "1", level: conform.Must, want: conform.Ends,
		edit: func(s *session, i *wire.NodeInfo) { i.NetAddress = s.ID().String() }},
	{name: "id-checksum", title: "an ID with a wrong checksum", spec: "4.1", level: conform.Must, want: conform.Ends,
		edit: func(s *session, i *wire.NodeInfo) { i.NetAddress = badID(s.ID()) + "@192.0.2.1:26656" }},
	{name: "address-no-id", title: "an address without an ID", spec: "4.2", level: conform.Must, want: conform.Ends, edit: address("", "192.0.2.1:26656")},
	{name: "address-no-port", title: "an address without a port", spec: "4.2", level: conform.Must, want: conform.Ends, edit: address("@", "192.0.2.1")},
	{name: "address-port-65536", title: "port 65536", spec: "4.2", level: conform.Must, want: conform.Ends, edit: address("@", "192.0.2.1:65536")},
	{name: "address-port-negative", title: "port -1", spec: "4.2", level: conform.Must, want: conform.Ends, edit: address("@", "192.0.2.1:-1")},
	{name: "address-port-plus", title: "a port with a plus sign", spec: "4.2", level: conform.Should, want: conform.Ends, edit: address("@", "192.0.2.1:+1")},
	{name: "address-port-zeros", title: "a port with leading zeros", spec: "4.2", level: conform.Should, want: conform.Accepts,
		edit: address("@", "192.0.2.1:00026656")},
	{name: "address-two-at", title: "two at signs", spec: "4.2", level: conform.Must, want: conform.Ends, edit: address("@@", "192.0.2.1:26656")},
	{name: "address-host-name", title: "a host name in place of the IP", spec: "4.2", level: conform.Strict, want: conform.Ends,
		edit: address("@", "localhost:26656")},
	{name: "address-ipv6", title: "an IPv6 address", spec: "4.2", level: conform.Must, want: conform.Accepts, edit: address("@", "[fd00::1]:26656")},
	{name: "address-ipv6-bare", title: "an IPv6 address without brackets", spec: "4.2", level: conform.Must, want: conform.Ends,
		edit: address("@", "fd00::1:26656")},
	{name: "address-unspecified", title: "the unspecified IP", spec: "4.2", level: conform.Must, want: conform.Accepts, edit: address("@", "0.0.0.0:26656")},
	{name: "address-scheme", title: "a scheme in front of the address", spec: "4.2", level: conform.Should, want: conform.Accepts,
		edit: func(_ *session, i *wire.NodeInfo) { i.NetAddress = "tcp://" + i.NetAddress }},
}

var infoByteRows = []infoRow{
	{name: "unknown-field", title: "an unknown field 9 at the end", spec: "2", level: conform.Strict, want: conform.Ends,
		bytes: func(b []byte) []byte { return wire.AppendSized(nil, append(b, 0x48, 0x01)) }},
	{name: "trailing-zero", title: "a byte 0 at the end", spec: "2", level: conform.Must, want: conform.Ends,
		bytes: func(b []byte) []byte { return wire.AppendSized(nil, append(b, 0)) }},
	{name: "field-descending", title: "a version after the other fields", spec: "2", level: conform.Must, want: conform.Ends,
		bytes: func(b []byte) []byte { return wire.AppendSized(nil, append(b, 0x0a, 0x00)) }},
	{name: "other-twice", title: "field 8 twice", spec: "2", level: conform.Must, want: conform.Ends,
		bytes: func(b []byte) []byte { return wire.AppendSized(nil, append(b, 0x42, 0x00)) }},
	{name: "channels-varint", title: "field 6 as a varint", spec: "2", level: conform.Must, want: conform.Ends,
		edit:  func(_ *session, i *wire.NodeInfo) { i.Channels, i.Moniker, i.TxIndex = nil, "", "" },
		bytes: func(b []byte) []byte { return wire.AppendSized(nil, append(b, 0x30, 0x40, 0x3a, 0x01, 'm')) }},
	{name: "prefix-nonminimal", title: "a length prefix of five bytes", spec: "2", level: conform.Should, want: conform.Accepts,
		bytes: func(b []byte) []byte {
			n := len(b)

			return append([]byte{byte(n) | 0x80, byte(n>>7) | 0x80, 0x80, 0x80, 0x00}, b...)
		}},
	{name: "size-10240", title: "10240 bytes, which is the limit", spec: "4", level: conform.Must, want: conform.Accepts, bytes: sizedTo(nodeInfoLimit)},
	{name: "size-10241", title: "10241 bytes", spec: "4", level: conform.Must, want: conform.Ends, bytes: sizedTo(nodeInfoLimit + 1)},
	{name: "declared-huge", title: "a NodeInfo of 2^40 bytes is announced", spec: "4", level: conform.Must, want: conform.Ends,
		bytes: func([]byte) []byte { return []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x20} }},
	{name: "declared-2-63", title: "a NodeInfo of 2^63 bytes is announced", spec: "4", level: conform.Must, want: conform.Ends,
		bytes: func([]byte) []byte { return []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01} }},
}

func address(at, host string) func(*session, *wire.NodeInfo) {
	return func(s *session, i *wire.NodeInfo) {
		i.NetAddress = host
		if at != "" {
			i.NetAddress = s.ID().String() + at + host
		}
	}
}

func version(name, value string) func(*session, *wire.NodeInfo) {
	return func(_ *session, i *wire.NodeInfo) {
		for at := range i.VersionSet {
			if i.VersionSet[at].Name == name {
				i.VersionSet[at].Version = value
			}
		}
	}
}

// channels fills the list up to n channels.
func channels(n int) func(*session, *wire.NodeInfo) {
	return func(s *session, i *wire.NodeInfo) {
		i.Channels = append(i.Channels, s.target.FreeChannels(0x70, n-len(i.Channels))...)
	}
}

// sizedTo fills the body up so that it has n bytes with its prefix of two bytes. The filling is
// an optional version, about which nobody cares. Target.CheckInfo has made sure of the room for it.
func sizedTo(n int) func([]byte) []byte {
	return func(body []byte) []byte {
		const head = 3 + 3 + 2 // tag and size of the version, tag and size of its name, optional
		name := strings.Repeat("z", n-2-len(body)-head)
		filling := wire.AppendNodeInfo(nil, &wire.NodeInfo{VersionSet: []wire.VersionInfo{{Name: name, Optional: true}}})

		return wire.AppendSized(nil, append(filling, body...))
	}
}

// badID is the ID with another last character.
func badID(id types.ID) string {
	text := []byte(id.String())
	last := &text[len(text)-1]
	if *last == 'q' {
		*last = 'p'
	} else {
		*last = 'q'
	}

	return string(text)
}

// swapCase changes the case of the first letter, or adds one.
func swapCase(s string) string {
	if upper := strings.ToUpper(s); upper != s {
		return upper
	}
	if lower := strings.ToLower(s); lower != s {
		return lower
	}

	return s + "A"
}

// wrongNode authenticates as another node than the one that was dialed.
func wrongNode(ctx context.Context, t *conform.Target) (conform.Seen, error) {
	s, err := open(ctx, t)
	if err != nil {
		return conform.Seen{}, err
	}
	defer s.Close()
	s.Become(types.GenerateNodeKey().PrivKey)
	s.as = s.ID()
	s.exchangeAuth()
	s.Message(sized(s.info()))

	return s.verdict(), nil
}
