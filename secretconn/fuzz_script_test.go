package secretconn

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// Steps of a scripted adversary.
const (
	stepEphemeral = iota // send an honest ephemeral message
	stepMark             // mark the ephemeral key
	stepPlain            // send an honest plain auth message
	stepTyped            // send an honest typed auth message
	stepWait             // let argument * 10 ms pass
	stepFlip             // flip a bit of the next message, at argument * 5
	stepCut              // send only the first argument * 5 bytes of the next frame
	stepReplay           // send the last frame again
	stepRaw              // send the argument as one byte
	stepEnd              // end the stream
	steps
)

// adversary plays a script against a victim: it sends an honest peer's messages at
// the wrong time, twice, in part, or damaged.
type adversary struct {
	*rawPeer

	agreed bool
	form   wire.AuthForm // of the first auth message
	last   []byte
	flip   int // bit to flip in the next message, -1 for none
	cut    int // bytes to send of the next frame
}

func (a *adversary) step(op, arg byte) {
	switch op % steps {
	case stepEphemeral:
		a.transmit(wire.AppendEphemeral(nil, a.pub()))
	case stepMark:
		a.eph.mark()
	case stepPlain:
		a.sendAuth(wire.AuthPlain)
	case stepTyped:
		a.sendAuth(wire.AuthTyped)
	case stepWait:
		<-time.After(time.Duration(arg) * 10 * time.Millisecond)
	case stepFlip:
		a.flip = int(arg) * 5
	case stepCut:
		a.cut = int(arg) * 5
	case stepReplay:
		a.transmit(a.last)
	case stepRaw:
		a.transmit([]byte{arg})
	case stepEnd:
		a.conn.CloseWrite()
	}
}

// sendAuth sends a sealed auth message if the victim's ephemeral key is known.
func (a *adversary) sendAuth(form wire.AuthForm) {
	if !a.agreed {
		a.agreed = true
		a.receiveEphemeral()
	}

	msg := a.authOf(form)
	if a.flip >= 0 {
		msg[a.flip/8%len(msg)] ^= 1 << (a.flip % 8)
		a.flip = -1
	}

	if a.sent == 0 {
		a.form = form
	}

	a.last = a.frame(uint32(len(msg)), msg, 0)
	a.transmit(a.last[:min(len(a.last), a.cut)])
	a.cut = sealedFrameSize
}

// transmit sends b. It ignores errors, since the victim may have closed.
func (a *adversary) transmit(b []byte) {
	b = append([]byte(nil), b...)
	if a.flip >= 0 && len(b) > 0 {
		b[a.flip/8%len(b)] ^= 1 << (a.flip % 8)
		a.flip = -1
	}

	if _, err := a.conn.Write(b); err != nil {
		require.ErrorIs(a.t, err, net.ErrClosed)
	}
}

// FuzzHandshakeScript plays any script against a victim with the larger or the
// smaller key, marked or not. The victim ends within its deadline, accepts an
// identity only from the owner of its key, and sends its own at most once.
func FuzzHandshakeScript(f *testing.F) {
	f.Add([]byte{stepEphemeral, 0, stepPlain, 0}, byte(0x22), true)
	f.Add([]byte{stepMark, 0, stepEphemeral, 0, stepPlain, 0}, byte(0x33), true)
	f.Add([]byte{stepEphemeral, 0, stepTyped, 0, stepEnd, 0}, byte(0x22), false)
	f.Add([]byte{stepEphemeral, 0, stepWait, 31, stepPlain, 0}, byte(0x33), false)
	f.Add([]byte{stepEphemeral, 0, stepWait, 31, stepTyped, 0}, byte(0x33), true)
	f.Add([]byte{stepEphemeral, 0, stepCut, 100, stepPlain, 0, stepWait, 255}, byte(0x22), true)
	f.Add([]byte{stepEphemeral, 0, stepFlip, 77, stepTyped, 0}, byte(0x22), true)
	f.Add([]byte{stepFlip, 24, stepEphemeral, 0, stepPlain, 0, stepReplay, 0}, byte(0x22), true)
	f.Add([]byte{stepRaw, 0x22, stepWait, 200, stepRaw, 0x0a, stepWait, 200}, byte(0x22), true)

	f.Fuzz(func(t *testing.T, script []byte, seed byte, marked bool) {
		if seed == 0x11 {
			return // the key of the adversary
		}

		synctest.Test(t, func(t *testing.T) {
			victim := fixedEphemeral(t, repeated(seed)[:])
			if marked {
				victim.mark()
			}

			playScript(t, script, victim)
		})
	})
}

func playScript(t *testing.T, script []byte, victim ephemeral) {
	t.Helper()

	const deadline = 3 * time.Second

	start := time.Now()
	a := &adversary{rawPeer: newRawPeerOf(t, victim), flip: -1, cut: sealedFrameSize}
	require.NoError(t, a.victimConn.SetDeadline(start.Add(deadline)))

	for ; len(script) >= 2 && time.Since(start) < deadline; script = script[2:] {
		a.step(script[0], script[1])
	}

	r := <-a.done
	require.LessOrEqual(t, time.Since(start), deadline+2550*time.Millisecond, "the last step may be a wait")

	shown := len(a.arrived())
	if !a.agreed {
		shown -= 35
	}

	if r.err != nil {
		require.Nil(t, r.sc)
		require.Contains(t, []int{0, sealedFrameSize}, shown)

		return
	}

	require.Equal(t, pubKey(a.key), r.sc.RemotePubKey())
	require.Equal(t, dialectOf(a.form), r.sc.Dialect())
	require.Equal(t, sealedFrameSize, shown)
}
