package mconn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// liveChannels are the channels of the nodes on which the cases were recorded.
var liveChannels = []*compat.ChannelDescriptor{
	{ID: 0x20, Priority: 5, RecvMessageCapacity: 3000},
	{ID: 0x21, Priority: 5, RecvMessageCapacity: 3000},
	{ID: 0x22, Priority: 5, RecvMessageCapacity: 3000},
}

// errFrame is an error of the conn.
var errFrame = errors.New("bad frame")

// liveCase is what a peer sends after the handshake, and the error it causes.
type liveCase struct {
	change func(*MConnConfig)
	play   func(p peer)
	pongs  int                           // pings sent one at a time; a flood of pings shares one or two pongs
	want   func(t *testing.T, err error) // nil: the connection goes on
}

func is(target error) func(*testing.T, error) {
	return func(t *testing.T, err error) { t.Helper(); require.ErrorIs(t, err, target) }
}

func isDecode(t *testing.T, err error) {
	t.Helper()

	var decode *wire.DecodeError
	require.ErrorAs(t, err, &decode)
}

func isChannel(id byte, target error) func(*testing.T, error) {
	return func(t *testing.T, err error) {
		t.Helper()
		require.ErrorIs(t, err, target)

		var chErr *ChannelError
		require.ErrorAs(t, err, &chErr)
		require.Equal(t, id, chErr.Channel)
		require.ErrorContains(t, err, fmt.Sprintf("%#02x", id))
	}
}

func writes(packets ...[]byte) func(peer) { return func(p peer) { p.write(packets...) } }

// below sends the packets, then makes reads of the conn fail with err.
func below(err error, packets ...[]byte) func(peer) {
	return func(p peer) {
		p.write(packets...)
		out := p.conn.(*memConn).out
		out.set(func() { out.readErr = err })
	}
}

func xs(n int) []byte { return []byte(strings.Repeat("x", n)) }

func repeat(n int, packet []byte) []byte {
	return []byte(strings.Repeat(string(packet), n))
}

func liveCases() map[string]liveCase {
	msg := func(hex string) []byte { // a message packet around the given value
		return wire.AppendSized(nil, []byte("\x0a\x08/p2p.Msg\x12"+string(rune(len(hex)))+hex))
	}
	const hi = "\x08\x20\x10\x01\x1a\x02hi"

	return map[string]liveCase{
		"live_pk_pong":              {play: writes(wire.AppendPong(nil))},
		"live_pk_ping_emptyval":     {play: writes([]byte("\x0d\x0a\x09/p2p.Ping\x12\x00")), pongs: 1},
		"live_pk_ping_unknown":      {play: writes([]byte("\x0f\x0a\x09/p2p.Ping\x12\x02\x08\x01")), want: isDecode},
		"live_pk_zero_frame":        {play: writes([]byte{0}), want: isDecode},
		"live_pk_zero_frame_prefix": {play: writes([]byte("\x92\x00"), piece(0x20, false, xs(1024))[1:]), want: isDecode},
		"live_pk_empty_msg":         {play: writes(piece(0x20, true, nil)), want: isChannel(0x20, ErrEmptyMessage)},
		"live_pk_1034":              {play: writes(piece(0x20, true, xs(1034)))},
		"live_pk_1035":              {play: writes(piece(0x20, true, xs(1035))[:2]), want: is(wire.ErrTooLarge)},
		"live_pk_declared_1055":     {play: writes([]byte{0x9f, 0x08}), want: is(wire.ErrTooLarge)},
		"live_pk_prefix_nonmin":     {play: writes(append([]byte{0x94, 0x00}, whole(0x20, "hi")[1:]...))},
		"live_pk_type_unknown":      {play: writes([]byte("\x0b\x0a\x09/p2p.Nope")), want: isDecode},
		"live_pk_type_other":        {play: writes([]byte("\x0e\x0a\x0c/p2p.Request")), want: isDecode},
		"live_pk_noslash":           {play: writes([]byte("\x13\x0a\x07p2p.Msg\x12\x08" + hi)), want: isDecode},
		"live_pk_host":              {play: writes([]byte("\x1d\x0a\x11x.example/p2p.Msg\x12\x08" + hi))},
		"live_pk_msg_unknown":       {play: writes(msg(hi + "\x20\x01")), want: isDecode},
		"live_pk_msg_order":         {play: writes(msg("\x10\x01\x08\x20\x1a\x02hi")), want: isDecode},
		"live_pk_any_trailing": {
			play: writes(append([]byte{0x15}, append(whole(0x20, "hi")[1:], 0)...)), want: isDecode,
		},
		"live_pk_ch256":     {play: writes(msg("\x08\x80\x02\x10\x01\x1a\x02hi")), want: isDecode},
		"live_pk_cap_exact": {play: writes(piece(0x20, false, xs(1000)), piece(0x20, false, xs(1000)), piece(0x20, true, xs(1000)))},
		"live_pk_cap_over": {
			play: writes(piece(0x20, false, xs(1000)), piece(0x20, false, xs(1000)), piece(0x20, false, xs(1001))),
			want: isChannel(0x20, ErrMessageTooLarge),
		},
		"live_pk_frame_1025":   {play: below(errFrame), want: is(errFrame)},
		"live_pk_frame_replay": {play: below(errFrame, whole(0x20, "hi")), want: is(errFrame)},
		"live_pk_frame_cut":    {play: below(io.ErrUnexpectedEOF), want: is(io.ErrUnexpectedEOF)},
		"live_pk_eof":          {play: below(io.EOF), want: is(io.EOF)},
		"live_pk_eof_mid":      {play: below(io.EOF, whole(0x20, "hi")[:10]), want: is(io.ErrUnexpectedEOF)},
		"live_pk_many":         {play: writes(repeat(20, whole(0x20, "hi")))},
		"live_pk_ping_flood":   {play: writes(repeat(200, wire.AppendPing(nil)))},
		"live_pk_recv_budget": {
			change: func(c *MConnConfig) { c.MaxRecvBufferBytes = 5000 },
			play: writes(repeat(2, piece(0x20, false, xs(1024))), repeat(2, piece(0x21, false, xs(1024))),
				piece(0x22, false, xs(905))),
			want: isChannel(0x22, ErrRecvBudget),
		},
		"live_pk_asm_timeout": {
			change: func(c *MConnConfig) { c.RecvAssemblyTimeout = 500 * time.Millisecond },
			play: func(p peer) {
				p.write(piece(0x20, false, []byte("part")))
				advance(300 * time.Millisecond)
				p.write(wire.AppendPing(nil))
				advance(300 * time.Millisecond)
			},
			pongs: 1, want: isChannel(0x20, ErrAssemblyTimeout),
		},
	}
}

// TestLiveVerdicts replays cases that were recorded on real nodes. It expects the
// verdict of v1.7.1, except for the empty message.
func TestLiveVerdicts(t *testing.T) {
	t.Parallel()

	var verdicts struct {
		LiveCases []struct {
			ID, Description, Reason string
			Dropped                 bool
			Delivered               []string
		} `json:"live_cases"`
	}
	load(t, "verdicts.json", &verdicts)

	cases := liveCases()
	require.Len(t, verdicts.LiveCases, len(cases))

	for _, v := range verdicts.LiveCases {
		c, ok := cases[v.ID]
		require.True(t, ok, v.ID)

		if v.ID == "live_pk_empty_msg" {
			v.Dropped, v.Delivered = true, nil
		}

		config := unlimited()
		if c.change != nil {
			c.change(&config)
		}

		bubble(t, config, liveChannels, func(t *testing.T, n *node, p peer) {
			t.Log(v.ID, v.Description)
			c.play(p)
			advance(time.Second)

			require.Equal(t, v.Dropped, c.want != nil, v.ID)
			if c.want != nil {
				c.want(t, n.onlyError(t))
			} else {
				p.write(whole(0x22, "still-alive"))
				advance(time.Second)
				require.Empty(t, n.errors(), v.ID)
				requireDelivered(t, v.Delivered, n.messages())
			}

			pongs := writtenPongs(t, p, n)
			if v.ID == "live_pk_ping_flood" {
				require.Contains(t, []int{1, 2}, pongs)
			} else {
				require.Equal(t, c.pongs, pongs, v.ID)
			}
		})
	}
}

// requireDelivered compares got with the channel:length:payload list of a verdict.
func requireDelivered(t *testing.T, want []string, got []message) {
	t.Helper()

	var list []string
	for _, m := range got {
		list = append(list, fmt.Sprintf("%02x:%d:%x", m.ch, len(m.data), m.data[:min(len(m.data), 32)]))
	}

	if last := want[len(want)-1]; strings.HasPrefix(last, "...") {
		require.Equal(t, last, fmt.Sprintf("... %d messages", len(list)))
		want = want[:len(want)-1]
		list = list[:len(want)]
	}

	for i, w := range want {
		require.Contains(t, list[i], w)
	}
	require.Len(t, list, len(want))
}

// writtenPongs ends the connection, requires that it wrote only pongs, and returns
// their number.
func writtenPongs(t *testing.T, p peer, n *node) int {
	t.Helper()
	n.stop(t)

	written, err := io.ReadAll(p.conn)
	require.NoError(t, err)

	pong := wire.AppendPong(nil)
	count := len(written) / len(pong)
	require.Equal(t, string(repeat(count, pong)), string(written))

	return count
}

func TestUnknownChannel(t *testing.T) {
	t.Parallel()

	bubble(t, unlimited(), oneChannel, func(t *testing.T, n *node, p peer) {
		p.write(whole(0x20, "before"), whole(0, "stranger"), whole(0x20, "after"))
		<-n.Done()
		isChannel(0, ErrUnknownChannel)(t, n.onlyError(t))
		require.Equal(t, []message{{0x20, "before"}}, n.messages())
	})
}

// Of a channel that is announced and not served nothing is kept, and nothing is a violation.
func TestUnservedChannel(t *testing.T) {
	t.Parallel()

	synctest.Test(t, func(t *testing.T) {
		local, remote := newMemConn(plenty)
		n := newNode(t, local, unlimited(), oneChannel...)
		n.DropUnserved([]byte{0x20, 0x50})
		require.NoError(t, n.Start())
		p := peer{t, remote}
		p.write(whole(0x20, "before"), whole(0x50, "dropped"), piece(0x50, false, []byte("begun")),
			whole(0x50, ""), whole(0x20, "after"), whole(0x51, "stranger"))
		<-n.Done()
		isChannel(0x51, ErrUnknownChannel)(t, n.onlyError(t))
		require.Equal(t, []message{{0x20, "before"}, {0x20, "after"}}, n.messages())
		require.NoError(t, remote.Close())
	})
}

// TestEmptyReads checks that the reader does not spin on a conn whose Read returns
// 0, nil.
func TestEmptyReads(t *testing.T) {
	t.Parallel()

	a, b := newMemConn(plenty)
	n := startNode(t, emptyReads{a}, unlimited(), oneChannel...)
	<-n.Done()
	require.ErrorIs(t, n.onlyError(t), io.ErrNoProgress)
	require.NoError(t, b.Close())
}

type emptyReads struct{ net.Conn }

func (emptyReads) Read([]byte) (int, error) { return 0, nil }
