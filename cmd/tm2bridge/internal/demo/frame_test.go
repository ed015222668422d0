package demo

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFrameRoundTrip(t *testing.T) {
	for _, f := range []frame{
		{kind: kindHello, channel: 0x20, origin: 3, link: 1, body: []byte{}},
		{kind: kindData, channel: 0x40, origin: 65535, link: 1 << 60, seq: 7, body: []byte("payload")},
		{kind: kindFin, channel: 0x22, origin: 0, link: 9, body: []byte{}},
	} {
		got, err := decodeFrame(f.channel, f.encode())
		require.NoError(t, err)
		require.Equal(t, f, got)
	}
}

func TestFrameDetectsEveryFlippedBit(t *testing.T) {
	msg := frame{kind: kindData, channel: 0x30, origin: 2, link: 5, seq: 4, body: []byte("0123456789")}.encode()
	for i := range msg {
		for bit := range 8 {
			msg[i] ^= 1 << bit
			_, err := decodeFrame(0x30, msg)
			require.ErrorIs(t, err, errCorrupt, "byte %d, bit %d", i, bit)
			msg[i] ^= 1 << bit
		}
	}
	_, err := decodeFrame(0x30, msg)
	require.NoError(t, err)
}

func TestFrameRefuses(t *testing.T) {
	good := frame{kind: kindData, channel: 0x30, link: 5, seq: 4}
	for name, tc := range map[string]struct {
		channel byte
		msg     []byte
	}{
		"short":          {0x30, good.encode()[:frameHeader-1]},
		"empty":          {0x30, nil},
		"truncated":      {0x30, frame{kind: kindData, channel: 0x30, link: 5, seq: 4, body: []byte("abc")}.encode()[:frameHeader+2]},
		"wrong channel":  {0x40, good.encode()},
		"kind 0":         {0x30, frame{channel: 0x30, link: 5}.encode()},
		"unknown kind":   {0x30, frame{kind: kindFin + 1, channel: 0x30, link: 5}.encode()},
		"link number 0":  {0x30, frame{kind: kindFin, channel: 0x30}.encode()},
		"data without n": {0x30, frame{kind: kindData, channel: 0x30, link: 5}.encode()},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeFrame(tc.channel, tc.msg)
			require.ErrorIs(t, err, errCorrupt)
		})
	}
}
