package wire_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

func TestDecodePacketDoesNotAllocate(t *testing.T) {
	for name, sized := range map[string][]byte{
		"ping": wire.AppendPing(nil),
		"pong": wire.AppendPong(nil),
		"msg":  wire.AppendMsg(nil, 0x20, true, make([]byte, 1024)),
	} {
		b := body(t, sized, maxPacket)

		require.Zero(t, testing.AllocsPerRun(100, func() {
			if _, err := wire.DecodePacket(b); err != nil {
				panic(err)
			}
		}), name)
	}
}

func TestAppendMsgDoesNotAllocate(t *testing.T) {
	payload := make([]byte, 1024)
	buf := make([]byte, 0, wire.MsgSize(0xff, true, len(payload)))

	require.Zero(t, testing.AllocsPerRun(100, func() {
		buf = wire.AppendMsg(buf[:0], 0xff, true, payload)
	}))
}

func TestPacketPayloadAliasesInput(t *testing.T) {
	b := body(t, wire.AppendMsg(nil, 1, true, []byte("hello")), maxPacket)

	p, err := wire.DecodePacket(b)
	require.NoError(t, err)

	b[len(b)-1] = '!'

	require.Equal(t, "hell!", string(p.Payload))
}

func TestNodeInfoDoesNotAliasInput(t *testing.T) {
	want := wire.NodeInfo{
		VersionSet: []wire.VersionInfo{{Name: "p2p", Version: "v1.0.0", Optional: true}, {}},
		NetAddress: "address", Channels: []byte{1, 2}, Moniker: "m", RPCAddress: "r",
	}
	b := wire.AppendNodeInfo(nil, &want)

	got, err := wire.DecodeNodeInfo(b)
	require.NoError(t, err)
	clear(b)
	require.Equal(t, want, got)
}

func TestMsgSizeMatchesAppendMsg(t *testing.T) {
	for _, ch := range []byte{0, 1, 0x7f, 0x80, 0xff} {
		for _, eof := range []bool{false, true} {
			for _, n := range []int{0, 1, 100, 127, 128, 1024, 20_000} {
				require.Len(t, wire.AppendMsg(nil, ch, eof, make([]byte, n)), wire.MsgSize(ch, eof, n))
			}
		}
	}
}

// TestStrictRules covers rules of docs/wire.md §2 without a recorded case.
func TestStrictRules(t *testing.T) {
	typedKey := func(any string) func() error {
		b := unhex(t, any)
		b = append([]byte{0x0a, byte(len(b))}, b...)
		b = append(append(b, 0x12, 0x40), make([]byte, 64)...)

		return func() error { _, err := wire.DecodeAuth(b); return err }
	}
	nodeInfo := func(in string) func() error {
		return func() error { _, err := wire.DecodeNodeInfo(unhex(t, in)); return err }
	}
	packet := func(in string) func() error {
		return func() error { _, err := wire.DecodePacket(unhex(t, in)); return err }
	}
	discovery := func(in string) func() error {
		return func() error { _, _, err := wire.DecodeDiscovery(unhex(t, in)); return err }
	}

	cases := map[string]struct {
		decode func() error
		want   string
	}{
		"ephemeral without key":         {func() error { _, err := wire.DecodeEphemeral(nil); return err }, "public key: missing"},
		"typed key empty":               {typedKey(""), "empty message"},
		"typed key without value":       {typedKey("0a11" + hexOf("/tm.PubKeyEd25519")), "public key: missing"},
		"typed key of another type":     {typedKey("0a13" + hexOf("/tm.PubKeySecp256k1")), "not an Ed25519 public key"},
		"repeated elements apart":       {nodeInfo("0a00" + "120161" + "0a00"), "ascending order"},
		"boolean in two bytes":          {nodeInfo("0a03" + "188100"), "boolean"},
		"boolean cut short":             {nodeInfo("0a01" + "18"), "boolean"},
		"optional with another type":    {nodeInfo("0a03" + "1a0101"), "wrong wire type"},
		"other field twice":             {nodeInfo("4200" + "4200"), "given twice"},
		"field number 2^32+1":           {nodeInfo("8a80808080010161"), "field key"},
		"number above 64 bits":          {packet("0a08" + hexOf("/p2p.Msg") + "120b" + "08ffffffffffffffffff02"), "bad number"},
		"number with a length":          {packet("0a08" + hexOf("/p2p.Msg") + "1203" + "0a0120"), "wrong wire type"},
		"type URL with a line feed":     {packet("0a09" + hexOf("\n/p2p.Msg")), "not printable"},
		"type URL with a delete":        {packet("0a09" + hexOf("\x7f/p2p.Msg")), "not printable"},
		"ping with a field":             {packet("0a09" + hexOf("/p2p.Ping") + "1202" + "0801"), "unknown field"},
		"any value with another type":   {packet("0a08" + hexOf("/p2p.Msg") + "1001"), "wrong wire type"},
		"any type URL twice":            {packet("0a08" + hexOf("/p2p.Msg") + "0a08" + hexOf("/p2p.Msg")), "given twice"},
		"request with a field":          {discovery("0a0c" + hexOf("/p2p.Request") + "1202" + "0801"), "unknown field"},
		"response address not a string": {discovery("0a0d" + hexOf("/p2p.Response") + "1202" + "0801"), "wrong wire type"},
		"response without entries":      {discovery("0a0d" + hexOf("/p2p.Response") + "1200"), "no address"},
	}

	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := c.decode()

			var refused *wire.DecodeError

			require.ErrorAs(t, err, &refused)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestAcceptedOddities decodes inputs that look malformed but are valid.
func TestAcceptedOddities(t *testing.T) {
	p, err := wire.DecodePacket(unhex(t, "0a09"+hexOf("/p2p.Ping")+"1200"))
	require.NoError(t, err, "an empty value may be present")
	require.Equal(t, wire.PacketPing, p.Kind)

	n, err := wire.DecodeNodeInfo(unhex(t, "0a021800"+"0a00"+"3200"))
	require.NoError(t, err, "zero values may be present")
	require.Equal(t, wire.NodeInfo{VersionSet: make([]wire.VersionInfo, 2)}, n)

	n, err = wire.DecodeNodeInfo(nil)
	require.NoError(t, err)
	require.Zero(t, n)

	key := bytes.Repeat([]byte{9}, 32)
	any := append(unhex(t, "8a0011"+hexOf("/tm.PubKeyEd25519")+"12220a20"), key...)
	b := append([]byte{0x0a, byte(len(any))}, any...)
	b = append(append(b, 0x12, 0x40), make([]byte, 64)...)

	a, err := wire.DecodeAuth(b)
	require.NoError(t, err, "a typed key may start with a padded field key")
	require.Equal(t, wire.AuthTyped, a.Form)
	require.Equal(t, key, a.PublicKey[:])
}

func TestResponseCountIsBoundedBeforeCollecting(t *testing.T) {
	msg := wire.AppendResponse(nil, make([]string, 500_000))

	allocs := testing.AllocsPerRun(1, func() {
		if _, _, err := wire.DecodeDiscovery(msg); err == nil {
			panic("accepted")
		}
	})
	require.LessOrEqual(t, allocs, 2.0)
}

func TestNames(t *testing.T) {
	require.Equal(t, "msg invalid", wire.PacketMsg.String()+" "+wire.PacketKind(0).String())
	require.Equal(t, "wire: m: r", (&wire.DecodeError{Message: "m", Reason: "r"}).Error())
}

func hexOf(s string) string { return hex.EncodeToString([]byte(s)) }

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()

	b, err := hex.DecodeString(s)
	require.NoError(tb, err)

	return b
}
