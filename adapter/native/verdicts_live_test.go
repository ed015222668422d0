package native

import (
	"bytes"
	"crypto/ed25519"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// live is a node as the one on which the cases were played, and a peer that
// dials it.
type live struct {
	t    *testing.T
	mt   *MultiplexTransport
	b    *judging
	p    *rawPeer
	peer compat.PeerConn
}

// judging is a behavior with the channels of the cases. Channel 0 is there because
// a packet may leave its channel out.
type judging struct{ *behavior }

var liveChannels = []byte{0x40, 0x20, 0x21, 0x22, 0x23, 0x30, 0x50}

func (j *judging) ReactorChDescriptors() (descs []*compat.ChannelDescriptor) {
	for _, ch := range append([]byte{0}, liveChannels...) {
		descs = append(descs, &compat.ChannelDescriptor{ID: ch, Priority: 5, RecvMessageCapacity: 3000})
	}

	return descs
}

func (j *judging) Reactors() map[byte]compat.Reactor {
	reactors := map[byte]compat.Reactor{0: j}
	for _, ch := range liveChannels {
		reactors[ch] = j
	}

	return reactors
}

func newLive(t *testing.T, change func(*mconn.MConnConfig)) *live {
	t.Helper()
	const rc = "v1.0.0-rc.0"
	remote, judge := verdictKeys(t)
	key := types.NodeKey{PrivKey: judge}
	config := mconn.DefaultMConnConfig()
	if change != nil {
		change(&config)
	}
	info := types.NodeInfo{
		VersionSet: types.VersionSet{
			{Name: "abci", Version: rc}, {Name: "app", Version: "dev"}, {Name: "bft", Version: rc},
			{Name: "blockchain", Version: rc}, {Name: "p2p", Version: rc},
		},
		NetAddress: &types.NetAddress{ID: key.ID(), IP: net.IPv4zero, Port: 26656},
		Network:    "wire-1", Version: rc, Channels: liveChannels, Moniker: "judge",
	}
	l := &live{t: t, mt: NewMultiplexTransport(info, key, config, nil), b: &judging{newBehavior()}}
	near, far := newLink(addrA, addrB)
	l.p = newRawPeer(t, far, remote)
	l.mt.admit(near)
	t.Cleanup(func() { require.NoError(t, l.mt.Close()) })

	return l
}

// info is the well-formed NodeInfo of the peer.
func (l *live) info() *wire.NodeInfo {
	own := l.mt.localNodeInfo()
	info := &wire.NodeInfo{
		NetAddress: l.p.id().String() + "@1.2.3.4:26656", Network: own.Network, Version: own.Version,
		Channels: own.Channels, Moniker: "m", TxIndex: "off",
	}
	for _, v := range own.VersionSet {
		info.VersionSet = append(info.VersionSet, wire.VersionInfo(v))
	}

	return info
}

func sized(info *wire.NodeInfo) []byte { return wire.AppendSized(nil, wire.AppendNodeInfo(nil, info)) }

// handshakeVerdict waits for the end of the handshake, at the latest by its
// deadlines.
func (l *live) handshakeVerdict() string {
	l.t.Helper()
	<-time.After(2*HandshakeTimeout + time.Millisecond)
	synctest.Wait()
	if l.mt.places.Taken() == 0 {
		return refused
	}
	peer, err := l.mt.Accept(l.t.Context(), l.b)
	require.NoError(l.t, err)
	l.peer = peer

	return accepted
}

// connect does an honest handshake and starts the peer.
func (l *live) connect() {
	l.t.Helper()
	l.p.authenticate(wire.AuthPlain)
	l.p.message(sized(l.info()))
	peer, err := l.mt.Accept(l.t.Context(), l.b)
	require.NoError(l.t, err)
	require.NoError(l.t, peer.Start())
	l.p.receiveNodeInfo()
	l.peer = peer
}

// stsCases are the situations of kind live-sts: what the peer does until its
// NodeInfo is due.
var stsCases = map[string]func(p *rawPeer){
	"live_sts_silent":        func(*rawPeer) {},
	"live_sts_eph_truncated": func(p *rawPeer) { p.send(p.ephemeral()[:34]); p.hangUp() },
	"live_sts_eph_nonmin": func(p *rawPeer) {
		p.send([]byte{0xa2, 0x00})
		p.send(p.ephemeral()[1:])
		p.agree()
		p.chunks(p.auth(wire.AuthPlain))
	},
	"live_sts_small_order":       func(p *rawPeer) { p.send(wire.AppendEphemeral(nil, orderEight)) },
	"live_sts_small_order_hibit": func(p *rawPeer) { p.send(wire.AppendEphemeral(nil, [32]byte{31: 0x80})) },
	"live_sts_reflect_eph_and_auth_frame": func(p *rawPeer) {
		p.send(p.receive(ephemeralSize))
		p.hangUp()
	},
	"live_sts_same_eph_as_least": func(p *rawPeer) { p.send(p.receive(ephemeralSize)) },
	"live_sts_sig_otherkey": func(p *rawPeer) {
		p.exchange()
		p.chunks(p.signed(ed25519.Sign(fixedKeys[0].PrivKey, p.challenge)))
	},
	"live_sts_sig_wrongmsg": func(p *rawPeer) {
		p.exchange()
		p.chunks(p.signed(ed25519.Sign(p.key, []byte("another message"))))
	},
	"live_sts_sig63": func(p *rawPeer) {
		p.exchange()
		msg := p.auth(wire.AuthPlain)
		msg[0]--
		msg[len(msg)-65]--
		p.chunks(msg[:len(msg)-1])
	},
	"live_sts_auth_empty": func(p *rawPeer) { p.exchange(); p.chunks([]byte{0}) },
	"live_sts_auth_unknown3": func(p *rawPeer) {
		p.exchange()
		msg := append(p.auth(wire.AuthPlain), 0x18, 0x07)
		msg[0] += 2
		p.chunks(msg)
	},
	"live_sts_auth_split": func(p *rawPeer) {
		p.exchange()
		msg := p.auth(wire.AuthPlain)
		p.chunks(msg[:1], msg[1:])
	},
	"live_sts_auth_bytewise": func(p *rawPeer) {
		p.exchange()
		for _, b := range p.auth(wire.AuthPlain) {
			p.chunks([]byte{b})
		}
	},
	"live_sts_zero_frame_before_auth": func(p *rawPeer) { p.exchange(); p.chunks(nil, p.auth(wire.AuthPlain)) },
	"live_sts_zero_frame_mid_auth": func(p *rawPeer) {
		p.exchange()
		msg := p.auth(wire.AuthPlain)
		p.chunks(msg[:50], nil, msg[50:])
	},
	"live_sts_frame_1025": func(p *rawPeer) { p.exchange(); p.send(p.frame(1025, p.auth(wire.AuthPlain), 0)) },
	"live_sts_frame_badtag": func(p *rawPeer) {
		p.exchange()
		frame := p.frame(101, p.auth(wire.AuthPlain), 0)
		frame[len(frame)-1] ^= 1
		p.send(frame)
	},
	"live_sts_frame_nonce1":   func(p *rawPeer) { p.exchange(); p.sent = 1; p.chunks(p.auth(wire.AuthPlain)) },
	"live_sts_frame_wrongkey": func(p *rawPeer) { p.exchange(); p.sendKey = p.recvKey; p.chunks(p.auth(wire.AuthPlain)) },
	"live_sts_frame_truncated": func(p *rawPeer) {
		p.exchange()
		p.send(p.frame(101, p.auth(wire.AuthPlain), 0)[:frameSize-1])
		p.hangUp()
	},
	"live_sts_padding": func(p *rawPeer) { p.exchange(); p.send(p.frame(101, p.auth(wire.AuthPlain), 0xa5)) },
	"live_sts_auth_echo": func(p *rawPeer) {
		p.exchange()
		a := p.receiveAuth()
		p.chunks(wire.AppendAuth(nil, a))
	},
	"live_sts_http": func(p *rawPeer) { p.send([]byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")) },
}

// orderEight is one of the points of low order.
var orderEight = [32]byte{
	0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
	0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
}

// signed is the auth message with another signature.
func (p *rawPeer) signed(signature []byte) []byte {
	return wire.AppendAuth(nil, wire.Auth{PublicKey: [32]byte(p.key[32:]), Signature: [64]byte(signature)})
}

func judgeLiveSTS(t *testing.T, c verdictCase) string {
	t.Helper()
	require.Contains(t, stsCases, c.ID)
	l := newLive(t, nil)
	stsCases[c.ID](l.p)
	if l.p.sendKey != nil {
		info := l.info()
		if c.ID == "live_sts_auth_echo" {
			info.NetAddress = l.mt.nodeKey.ID().String() + "@1.2.3.4:26656"
		}
		l.p.message(sized(info))
	}

	return l.handshakeVerdict()
}

// infoCases are the situations of kind live-nodeinfo in which the NodeInfo itself
// says it all.
var infoCases = map[string]func(l *live, info *wire.NodeInfo){
	"live_ni_ok":         func(*live, *wire.NodeInfo) {},
	"live_ni_empty":      func(_ *live, i *wire.NodeInfo) { *i = wire.NodeInfo{} },
	"live_ni_noaddr":     func(_ *live, i *wire.NodeInfo) { i.NetAddress = "" },
	"live_ni_wrong_id":   func(l *live, i *wire.NodeInfo) { i.NetAddress = l.mt.nodeKey.ID().String() + "@1.2.3.4:26656" },
	"live_ni_upper_id":   func(l *live, i *wire.NodeInfo) { i.NetAddress = strings.ToUpper(l.p.id().String()) + "@1.2.3.4:1" },
	"live_ni_other_form": func(l *live, i *wire.NodeInfo) { i.NetAddress = l.p.id().String() },
	"live_ni_hostname":   func(l *live, i *wire.NodeInfo) { i.NetAddress = l.p.id().String() + "@localhost:26656" },
	"live_ni_scheme":     func(_ *live, i *wire.NodeInfo) { i.NetAddress = "tcp://" + i.NetAddress },
	"live_ni_network":    func(_ *live, i *wire.NodeInfo) { i.Network = "wire-2" },
	"live_ni_nochannel":  func(_ *live, i *wire.NodeInfo) { i.Channels = []byte{1} },
	"live_ni_17ch": func(_ *live, i *wire.NodeInfo) {
		for ch := byte(0x60); len(i.Channels) < 17; ch++ {
			i.Channels = append(i.Channels, ch)
		}
	},
	"live_ni_dupch":      func(_ *live, i *wire.NodeInfo) { i.Channels = append(i.Channels, i.Channels[0]) },
	"live_ni_badmoniker": func(_ *live, i *wire.NodeInfo) { i.Moniker = "m\x01" },
	"live_ni_extra_req": func(_ *live, i *wire.NodeInfo) {
		i.VersionSet = append(i.VersionSet, wire.VersionInfo{Name: "zz", Version: "v1.0.0"})
	},
	"live_ni_toobig":  func(_ *live, i *wire.NodeInfo) { pad(i, 10241) },
	"live_ni_maxsize": func(_ *live, i *wire.NodeInfo) { pad(i, 10240) },
}

// pad lengthens the moniker until the message has the size.
func pad(info *wire.NodeInfo, size int) {
	info.Moniker = strings.Repeat("m", 200) // from here on all lengths take two bytes
	info.Moniker = strings.Repeat("m", 200+size-len(sized(info)))
}

func judgeLiveNodeInfo(t *testing.T, c verdictCase) string {
	t.Helper()
	l := newLive(t, nil)
	l.p.authenticate(wire.AuthPlain)
	switch c.ID {
	case "live_ni_silent":
	case "live_ni_zero_frame":
		l.p.chunks(nil, sized(l.info()))
	default:
		require.Contains(t, infoCases, c.ID)
		info := l.info()
		infoCases[c.ID](l, info)
		l.p.message(sized(info))
	}

	return l.handshakeVerdict()
}

func judgeLiveDiscovery(t *testing.T, c verdictCase) string {
	t.Helper()
	require.Contains(t, discoveryCases, c.ID)
	l := newLive(t, nil)
	l.connect()
	msg := discoveryCases[c.ID](l)
	l.p.message(packetsOf(0x50, msg))
	l.p.message(wire.AppendMsg(nil, 0x22, true, []byte("still alive")))
	synctest.Wait()
	if len(l.b.errs) > 0 {
		return dropped
	}
	require.Equal(t, received{0x50, string(msg)}, <-l.b.messages)
	require.Equal(t, received{0x22, "still alive"}, <-l.b.messages)
	if readDiscovery(msg) != nil {
		return ignored
	}

	return accepted
}

// packetsOf cuts a message in packets as nodes do.
func packetsOf(ch byte, msg []byte) (packets []byte) {
	const payload = 1024
	for ; len(msg) > payload; msg = msg[payload:] {
		packets = wire.AppendMsg(packets, ch, false, msg[:payload])
	}

	return wire.AppendMsg(packets, ch, true, msg)
}

// discoveryCases are the messages of kind live-discovery.
var discoveryCases = map[string]func(l *live) []byte{
	"live_dc_resp1":     func(l *live) []byte { return responseOf(1) },
	"live_dc_resp0":     func(l *live) []byte { return []byte("\x0a\x0d/p2p.Response") },
	"live_dc_resp30":    func(l *live) []byte { return responseOf(30) },
	"live_dc_resp31":    func(l *live) []byte { return responseOf(31) },
	"live_dc_host":      func(l *live) []byte { return wire.AppendResponse(nil, []string{someID + "@localhost:26656"}) },
	"live_dc_badid":     func(l *live) []byte { return wire.AppendResponse(nil, []string{"g1x@1.2.3.4:26656"}) },
	"live_dc_emptyelem": func(l *live) []byte { return []byte("\x0a\x0d/p2p.Response\x12\x02\x0a\x00") },
	"live_dc_empty":     func(l *live) []byte { return nil },
	"live_dc_unknown":   func(l *live) []byte { return []byte("\x0a\x09/p2p.Nope") },
	"live_dc_noslash":   func(l *live) []byte { return []byte("\x0a\x0bp2p.Request") },
	"live_dc_garbage":   func(l *live) []byte { return bytes.Repeat([]byte{0xff}, 12) },
	"live_dc_self": func(l *live) []byte {
		return wire.AppendResponse(nil, []string{l.mt.nodeKey.ID().String() + "@1.2.3.4:26656"})
	},
}

const someID = "g1x36slx9at870e9rd53d2405n80s4ff94dx42dl"

// responseOf has n addresses.
func responseOf(n int) []byte {
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = someID + "@1.2.3." + string('0'+rune(i%10)) + ":26656"
	}

	return wire.AppendResponse(nil, addrs)
}
