package secretconn

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// malformed is this package's part of internal/wire/testdata/malformed.json: bad
// inputs, and the verdicts of real nodes of eight versions.
type malformed struct {
	ByteCases []struct {
		ID, Kind   string
		Input      hexBytes
		ReceiveKey hexBytes `json:"receive_key"`
		Decoded    any
		Verdicts   map[string]json.RawMessage
	} `json:"byte_cases"`
	LiveCases []struct {
		ID, Kind string
		Outcomes map[string]json.RawMessage
	} `json:"live_cases"`
}

type verdict struct {
	Verdict, Outcome, Reason string
}

// The reference versions: one of dialect C, and an older one for the cases with typed
// keys.
const (
	modelC = "v1.7.1"
	modelB = "47395b1a (2025-02-07)"
)

// verdictOf returns the verdict of the reference version, or the one of all versions.
func verdictOf(t *testing.T, verdicts map[string]json.RawMessage, model string) (v verdict) {
	t.Helper()

	raw, ok := verdicts["all"]
	if !ok {
		raw = verdicts[model]
	}

	require.NoError(t, json.Unmarshal(raw, &v))
	require.NotEqual(t, v.Verdict == "", v.Outcome == "")

	return v
}

func TestMalformedFrames(t *testing.T) {
	var m malformed

	readJSON(t, "../internal/wire/testdata/malformed.json", &m)

	reasons := map[string]error{
		"chunk-length-over-1024":     ErrFrameLength,
		"authentication-tag-failure": ErrFrameTag,
		"stream-ended":               io.EOF,
		"stream-cut-inside-message":  io.ErrUnexpectedEOF,
	}
	played := 0

	for _, c := range m.ByteCases {
		if c.Kind != "sealed-frames" {
			continue
		}

		played++

		t.Run(c.ID, func(t *testing.T) {
			d, err := newDirection((*[keySize]byte)(c.ReceiveKey))
			require.NoError(t, err)

			r := newFrameReader(bytes.NewReader(c.Input))
			r.in = d

			v := verdictOf(t, c.Verdicts, modelC)
			if v.Verdict != "accept" {
				require.Contains(t, reasons, v.Reason)

				var err error
				for err == nil { // good frames may come first
					_, err = r.Read(make([]byte, 100))
				}

				require.ErrorIs(t, err, reasons[v.Reason])

				return
			}

			got, err := io.ReadAll(r)
			require.NoError(t, err)

			var want []byte

			for _, chunk := range c.Decoded.([]any) {
				var h hexBytes

				require.NoError(t, h.UnmarshalText([]byte(chunk.(string))))
				want = append(want, h...)
			}

			require.Equal(t, want, got)
		})
	}

	require.NotZero(t, played)
}

// TestMalformedHandshakeMessages sends the byte cases of both handshake messages in a
// live handshake.
func TestMalformedHandshakeMessages(t *testing.T) {
	var m malformed

	readJSON(t, "../internal/wire/testdata/malformed.json", &m)

	played := map[string]int{"sts-ephemeral": 0, "sts-auth-message": 0}

	for _, c := range m.ByteCases {
		if _, ok := played[c.Kind]; !ok {
			continue
		}

		played[c.Kind]++

		t.Run(c.ID, func(t *testing.T) {
			p := newRawPeer(t)

			if c.Kind == "sts-ephemeral" {
				p.send(c.Input)
				p.receiveEphemeral()
				p.sendChunks(p.auth())
			} else {
				p.exchange() // with the keys whose challenge the inputs sign
				p.sendChunks(c.Input)
			}

			model := modelC
			if strings.HasPrefix(c.ID, "authAB_") {
				model = modelB
			}

			_, err := p.result()
			if verdictOf(t, c.Verdicts, model).Verdict == "accept" {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
			}
		})
	}

	for kind, n := range played {
		require.NotZero(t, n, kind)
	}
}

// liveScripts play the cases of kind live-sts.
var liveScripts = map[string]func(p *rawPeer){
	"live_sts_eph_truncated": func(p *rawPeer) {
		p.send(wire.AppendEphemeral(nil, p.pub())[:34])
	},
	"live_sts_eph_nonmin": func(p *rawPeer) {
		p.send([]byte{0xa2, 0x00})
		p.send(wire.AppendEphemeral(nil, p.pub())[1:])
		p.receiveEphemeral()
		p.sendChunks(p.auth())
	},
	"live_sts_small_order": func(p *rawPeer) {
		p.send(wire.AppendEphemeral(nil, lowOrderPoints[2]))
	},
	"live_sts_small_order_hibit": func(p *rawPeer) {
		p.send(wire.AppendEphemeral(nil, [keySize]byte{31: 0x80}))
	},
	"live_sts_reflect_eph_and_auth_frame": func(p *rawPeer) {
		p.send(p.receive(35))
		p.conn.CloseWrite()
	},
	"live_sts_same_eph_as_least": func(p *rawPeer) {
		p.eph = fixedEphemeral(p.t, repeated(0x22)[:])
		p.exchange()
	},
	"live_sts_sig_otherkey": func(p *rawPeer) {
		p.exchange()

		a := signAuth(identity(9), p.keys.challenge)
		a.PublicKey = [keySize]byte(pubKey(p.key))
		p.sendChunks(wire.AppendAuth(nil, a))
	},
	"live_sts_sig_wrongmsg": func(p *rawPeer) {
		p.exchange()
		p.sendChunks(wire.AppendAuth(nil, signAuth(p.key, [challengeSize]byte(p.shared))))
	},
	"live_sts_sig63": func(p *rawPeer) {
		p.exchange()

		msg := p.auth()
		msg[0]--
		msg[len(msg)-65]--
		p.sendChunks(msg[:len(msg)-1])
	},
	"live_sts_auth_empty": func(p *rawPeer) {
		p.exchange()
		p.sendChunks([]byte{0})
	},
	"live_sts_auth_unknown3": func(p *rawPeer) {
		p.exchange()

		msg := append(p.auth(), 0x18, 0x07)
		msg[0] += 2
		p.sendChunks(msg)
	},
	"live_sts_auth_split": func(p *rawPeer) {
		p.exchange()

		msg := p.auth()
		p.sendChunks(msg[:1], msg[1:])
	},
	"live_sts_auth_bytewise": func(p *rawPeer) {
		p.exchange()

		for _, b := range p.auth() {
			p.sendChunks([]byte{b})
		}
	},
	"live_sts_zero_frame_before_auth": func(p *rawPeer) {
		p.exchange()
		p.sendChunks(nil, p.auth())
	},
	"live_sts_zero_frame_mid_auth": func(p *rawPeer) {
		p.exchange()

		msg := p.auth()
		p.sendChunks(msg[:50], nil, msg[50:])
	},
	"live_sts_frame_1025": func(p *rawPeer) {
		p.exchange()
		p.send(p.frame(1025, p.auth(), 0))
	},
	"live_sts_frame_badtag": func(p *rawPeer) {
		p.exchange()

		f := p.frame(101, p.auth(), 0)
		f[len(f)-1] ^= 1
		p.send(f)
	},
	"live_sts_frame_nonce1": func(p *rawPeer) {
		p.exchange()
		p.sent = 1
		p.sendChunks(p.auth())
	},
	"live_sts_frame_wrongkey": func(p *rawPeer) {
		p.exchange()
		p.send(sealRaw(p.t, &p.keys.recv, 0, 101, p.auth(), 0))
	},
	"live_sts_frame_truncated": func(p *rawPeer) {
		p.exchange()
		p.send(p.frame(101, p.auth(), 0)[:1043])
	},
	"live_sts_padding": func(p *rawPeer) {
		p.exchange()
		p.send(p.frame(101, p.auth(), 0xa5))
	},
	"live_sts_auth_echo": func(p *rawPeer) {
		p.exchange()
		p.sendChunks(p.receiveAuth())
	},
	"live_sts_http": func(p *rawPeer) {
		p.send([]byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"))
	},
}

// liveErrors holds the error of each case that is refused. All other cases connect.
var liveErrors = map[string]error{
	"live_sts_eph_truncated":              io.ErrUnexpectedEOF,
	"live_sts_small_order":                ErrLowOrderPoint,
	"live_sts_small_order_hibit":          ErrLowOrderPoint,
	"live_sts_reflect_eph_and_auth_frame": ErrEqualEphemeral,
	"live_sts_same_eph_as_least":          ErrEqualEphemeral,
	"live_sts_sig_otherkey":               ErrBadSignature,
	"live_sts_sig_wrongmsg":               ErrBadSignature,
	"live_sts_sig63":                      errDecoding,
	"live_sts_auth_empty":                 errDecoding,
	"live_sts_auth_unknown3":              errDecoding,
	"live_sts_zero_frame_before_auth":     ErrFrameEmpty,
	"live_sts_zero_frame_mid_auth":        ErrFrameEmpty,
	"live_sts_frame_1025":                 ErrFrameLength,
	"live_sts_frame_badtag":               ErrFrameTag,
	"live_sts_frame_nonce1":               ErrFrameTag,
	"live_sts_frame_wrongkey":             ErrFrameTag,
	"live_sts_frame_truncated":            io.ErrUnexpectedEOF,
	"live_sts_auth_echo":                  ErrOwnKey,
	"live_sts_http":                       wire.ErrTooLarge,
}

// errDecoding stands for a *wire.DecodeError.
var errDecoding = errors.New("decoding error")

// stricter names the cases that real nodes accept and we refuse, as docs/wire.md §8
// asks.
var stricter = map[string]bool{
	"live_sts_zero_frame_mid_auth": true,
	"live_sts_auth_echo":           true,
}

func TestMalformedLive(t *testing.T) {
	var m malformed

	readJSON(t, "../internal/wire/testdata/malformed.json", &m)

	played := 0

	for _, c := range m.LiveCases {
		if c.Kind != "live-sts" || c.ID == "live_sts_silent" {
			continue
		}

		played++

		t.Run(c.ID, func(t *testing.T) {
			require.Contains(t, liveScripts, c.ID)

			// Some peers wait for the victim's auth message.
			synctest.Test(t, func(t *testing.T) { playLive(t, c.ID, verdictOf(t, c.Outcomes, modelC).Outcome) })
		})
	}

	require.Len(t, liveScripts, played, "a script whose case is gone")
}

func playLive(t *testing.T, id, outcome string) {
	t.Helper()

	p := newRawPeer(t)
	liveScripts[id](p)

	sc, err := p.result()
	refused := liveErrors[id]

	if refused == nil {
		require.Equal(t, "connected", outcome)
		require.NoError(t, err)
		require.Equal(t, pubKey(p.key), sc.RemotePubKey())

		return
	}

	require.Equal(t, stricter[id], outcome == "connected")

	if refused == errDecoding {
		require.ErrorAs(t, err, new(*wire.DecodeError))
	} else {
		require.ErrorIs(t, err, refused)
	}
}

func TestMalformedLiveSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, peer := memPipe()
		start := time.Now()

		require.NoError(t, conn.SetDeadline(start.Add(3*time.Second)))

		_, err := MakeSecretConnection(conn, victimKey)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start))

		require.NoError(t, conn.Close())
		require.NoError(t, peer.Close())
	})
}
