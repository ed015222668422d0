package secretconn

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// Either side's ephemeral key opens both directions of a recorded session.
func TestOpeners(t *testing.T) {
	var tr transcript
	readJSON(t, "testdata/C_v1.7.1-to-v1.7.1.json", &tr)
	for _, c := range []struct {
		own, remote    transcriptSide
		sent, received transcriptStream
	}{
		{tr.Dialer, tr.Listener, tr.DialerToListener, tr.ListenerToDialer},
		{tr.Listener, tr.Dialer, tr.ListenerToDialer, tr.DialerToListener},
	} {
		sent, received, _, err := NewOpeners([32]byte(c.own.EphemeralPrivate), [32]byte(c.own.EphemeralPublic), [32]byte(c.remote.EphemeralPublic))
		require.NoError(t, err)
		for _, d := range []struct {
			o      *Opener
			stream transcriptStream
		}{{sent, c.sent}, {received, c.received}} {
			for _, f := range d.stream.Frames {
				sealed := bytes.Clone(f.Sealed)
				opened, chunk, err := d.o.Open(f.Sealed)
				require.NoError(t, err)
				require.Equal(t, []byte(f.Opened), opened)
				require.Equal(t, []byte(f.Chunk), chunk)
				require.Equal(t, sealed, []byte(f.Sealed), "it is not changed")
			}
			_, _, err := d.o.Open(make([]byte, SealedFrameSize))
			require.ErrorIs(t, err, ErrFrameTag)
			_, _, err = d.o.Open(nil)
			require.ErrorContains(t, err, "frame of 0 bytes")
		}
	}
}

func TestOpenersRefuseOtherKeys(t *testing.T) {
	var tr transcript
	readJSON(t, "testdata/C_v1.7.1-to-v1.7.1.json", &tr)
	seed, own := [32]byte(tr.Dialer.EphemeralPrivate), [32]byte(tr.Dialer.EphemeralPublic)
	remote := [32]byte(tr.Listener.EphemeralPublic)
	_, _, _, err := NewOpeners(seed, remote, own)
	require.ErrorContains(t, err, "does not belong")
	_, _, _, err = NewOpeners(seed, own, own)
	require.ErrorIs(t, err, ErrEqualEphemeral)
	_, _, _, err = NewOpeners(seed, own, [32]byte{})
	require.ErrorIs(t, err, ErrLowOrderPoint)
}
