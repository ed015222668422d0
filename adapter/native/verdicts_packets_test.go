package native

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// packetCase is a situation of kind live-packet: what the peer sends after the
// handshake, or what it does.
type packetCase struct {
	change func(*mconn.MConnConfig)
	sends  []byte
	does   func(p *rawPeer)
}

func pieceOf(ch byte, last bool, size int) []byte {
	return wire.AppendMsg(nil, ch, last, bytes.Repeat([]byte("x"), size))
}

func hi() []byte { return wire.AppendMsg(nil, 0x20, true, []byte("hi")) }

// msgOf is a message packet around a value.
func msgOf(value string) []byte {
	return wire.AppendSized(nil, append([]byte("\x0a\x08/p2p.Msg\x12"), append([]byte{byte(len(value))}, value...)...))
}

const hiValue = "\x08\x20\x10\x01\x1a\x02hi"

var packetCases = map[string]packetCase{
	"live_pk_pong":          {sends: wire.AppendPong(nil)},
	"live_pk_ping_emptyval": {sends: []byte("\x0d\x0a\x09/p2p.Ping\x12\x00")},
	"live_pk_ping_unknown":  {sends: []byte("\x0f\x0a\x09/p2p.Ping\x12\x02\x08\x01")},
	"live_pk_zero_frame":    {does: func(p *rawPeer) { p.chunks(nil) }},
	"live_pk_zero_frame_prefix": {does: func(p *rawPeer) {
		msg := pieceOf(0x20, true, 1000)
		p.chunks(msg[:1], nil)
		p.message(msg[1:])
	}},
	"live_pk_empty_msg":     {sends: pieceOf(0x20, true, 0)},
	"live_pk_1034":          {sends: pieceOf(0x20, true, 1034)},
	"live_pk_1035":          {sends: pieceOf(0x20, true, 1035)},
	"live_pk_declared_1055": {sends: []byte{0x9f, 0x08}},
	"live_pk_prefix_nonmin": {sends: append([]byte{hi()[0] | 0x80, 0x00}, hi()[1:]...)},
	"live_pk_type_unknown":  {sends: []byte("\x0b\x0a\x09/p2p.Nope")},
	"live_pk_type_other":    {sends: []byte("\x0e\x0a\x0c/p2p.Request")},
	"live_pk_noslash":       {sends: []byte("\x13\x0a\x07p2p.Msg\x12\x08" + hiValue)},
	"live_pk_host":          {sends: []byte("\x1d\x0a\x11x.example/p2p.Msg\x12\x08" + hiValue)},
	"live_pk_msg_unknown":   {sends: msgOf(hiValue + "\x20\x01")},
	"live_pk_msg_order":     {sends: msgOf("\x10\x01\x08\x20\x1a\x02hi")},
	"live_pk_any_trailing":  {sends: wire.AppendSized(nil, append(hi()[1:], 0))},
	"live_pk_ch256":         {sends: msgOf("\x08\x80\x02\x10\x01\x1a\x02hi")},
	"live_pk_cap_exact":     {sends: bytes.Join([][]byte{pieceOf(0x20, false, 1000), pieceOf(0x20, false, 1000), pieceOf(0x20, true, 1000)}, nil)},
	"live_pk_cap_over":      {sends: bytes.Join([][]byte{pieceOf(0x20, false, 1000), pieceOf(0x20, false, 1000), pieceOf(0x20, true, 1001)}, nil)},
	"live_pk_frame_1025":    {does: func(p *rawPeer) { p.send(p.frame(1025, hi(), 0)) }},
	"live_pk_frame_replay": {does: func(p *rawPeer) {
		frame := p.frame(uint32(len(hi())), hi(), 0)
		p.send(frame)
		p.send(frame)
	}},
	"live_pk_frame_cut": {does: func(p *rawPeer) { p.send(p.frame(uint32(len(hi())), hi(), 0)[:500]); p.hangUp() }},
	"live_pk_eof":       {does: func(p *rawPeer) { p.hangUp() }},
	"live_pk_eof_mid":   {does: func(p *rawPeer) { p.chunks(hi()[:10]); p.hangUp() }},
	"live_pk_many":      {sends: bytes.Repeat(hi(), 20)},
	"live_pk_ping_flood": {
		sends: bytes.Repeat(wire.AppendPing(nil), 200),
	},
	"live_pk_recv_budget": {
		change: func(c *mconn.MConnConfig) { c.MaxRecvBufferBytes = 5000 },
		sends: bytes.Join([][]byte{
			bytes.Repeat(pieceOf(0x20, false, 1000), 3), bytes.Repeat(pieceOf(0x21, false, 1000), 3),
		}, nil),
	},
	"live_pk_asm_timeout": {
		change: func(c *mconn.MConnConfig) { c.RecvAssemblyTimeout = 500 * time.Millisecond },
		does: func(p *rawPeer) {
			p.chunks(pieceOf(0x20, false, 4))
			<-time.After(300 * time.Millisecond)
			p.chunks(wire.AppendPing(nil))
			<-time.After(300 * time.Millisecond)
		},
	},
}

func judgeLivePacket(t *testing.T, c verdictCase) string {
	t.Helper()
	require.Contains(t, packetCases, c.ID)
	pc := packetCases[c.ID]
	l := newLive(t, pc.change)
	l.connect()
	if pc.does != nil {
		pc.does(l.p)
	}
	l.p.message(pc.sends)
	l.p.message(wire.AppendMsg(nil, 0x22, true, []byte("still alive")))
	<-time.After(100 * time.Millisecond)
	synctest.Wait()
	if len(l.b.errs) > 0 {
		return dropped
	}
	for m := range l.b.messages {
		if m.ch == 0x22 {
			require.Equal(t, "still alive", m.msg)

			break
		}
	}

	return accepted
}
