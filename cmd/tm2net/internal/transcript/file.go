package transcript

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

const (
	// ephemeralSize is the size of the ephemeral message that every TM2 node sends.
	ephemeralSize = 35
	// maxFile bounds a file that is read, in bytes: each byte of maxRecorded is written as
	// hexadecimal digits up to four times, for each direction.
	maxFile = 64 << 20
)

// Transcript is a recorded connection.
type Transcript struct {
	Name    string `json:"name,omitempty"`
	Dialect string `json:"dialect"`
	// Dialer and Listener are what is known of the sides. One of them must have its private
	// ephemeral key, which opens both directions.
	Dialer           Side   `json:"dialer"`
	Listener         Side   `json:"listener"`
	DialerToListener Stream `json:"dialer_to_listener"`
	ListenerToDialer Stream `json:"listener_to_dialer"`
}

// Side is one end of the connection.
type Side struct {
	Seed             Hex      `json:"ed25519_seed,omitempty"`
	NodeID           types.ID `json:"node_id,omitempty"`
	EphemeralPrivate Hex      `json:"ephemeral_private,omitempty"`
	EphemeralPublic  Hex      `json:"ephemeral_public,omitempty"`
}

// Stream is what one side has sent. Raw is all of it; the other fields are parts of it.
type Stream struct {
	Ephemeral Hex     `json:"ephemeral_message,omitempty"`
	Raw       Hex     `json:"raw_stream"`
	Frames    []Frame `json:"frames,omitempty"`
}

// Frame is a sealed frame and what is in it.
type Frame struct {
	Sealed   Hex `json:"sealed"`
	Opened   Hex `json:"opened"`
	Chunk    Hex `json:"chunk"`
	ChunkLen int `json:"chunk_len"`
}

// Hex is bytes that JSON has as hexadecimal digits.
type Hex []byte

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.AppendDecode(nil, text)

	return err
}

// Read reads a transcript from a file.
func Read(path string) (t *Transcript, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	t = &Transcript{}
	if err := json.Unmarshal(data, t); err != nil {
		return nil, fmt.Errorf("%s is no transcript: %w", path, err)
	}
	if len(t.DialerToListener.Raw) == 0 && len(t.ListenerToDialer.Raw) == 0 {
		return nil, fmt.Errorf("%s is no transcript: it has no raw_stream", path)
	}

	return t, nil
}

// Write writes the transcript as JSON.
func (t *Transcript) Write(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetIndent("", " ")

	return e.Encode(t)
}

// openers returns what opens each direction, and the challenge. An error says why nothing can
// be opened.
func (t *Transcript) openers() (dialer, listener *secretconn.Opener, challenge [32]byte, err error) {
	own, remote, swapped := t.Dialer, t.Listener, false
	if len(own.EphemeralPrivate) == 0 {
		own, remote, swapped = t.Listener, t.Dialer, true
	}
	for _, key := range []Hex{own.EphemeralPrivate, own.EphemeralPublic, remote.EphemeralPublic} {
		if len(key) != 32 {
			return nil, nil, challenge, errors.New("the frames cannot be opened: an ephemeral key is missing")
		}
	}
	sent, received, challenge, err := secretconn.NewOpeners(
		[32]byte(own.EphemeralPrivate), [32]byte(own.EphemeralPublic), [32]byte(remote.EphemeralPublic))
	if err != nil {
		return nil, nil, challenge, fmt.Errorf("the frames cannot be opened: %w", err)
	}
	if swapped {
		sent, received = received, sent
	}

	return sent, received, challenge, nil
}

// ephemeralOf returns the key in the ephemeral message at the start of a stream, if it is
// whole, and the size of the message.
func ephemeralOf(raw []byte) (key Hex, size int) {
	if len(raw) < ephemeralSize || raw[0] != ephemeralSize-1 {
		return nil, 0
	}
	found, err := wire.DecodeEphemeral(raw[1:ephemeralSize])
	if err != nil {
		return nil, 0
	}

	return found[:], ephemeralSize
}

// open fills in the ephemeral message and the frames of a stream. It cuts what is not whole at
// the end, since that is where the recording ended, and stops at a frame that does not open.
func (s *Stream) open(o *secretconn.Opener) {
	_, size := ephemeralOf(s.Raw)
	s.Ephemeral = s.Raw[:size]
	if size == 0 || o == nil {
		return
	}
	whole := (len(s.Raw) - size) / secretconn.SealedFrameSize
	s.Raw = s.Raw[:size+whole*secretconn.SealedFrameSize]
	s.Frames = nil
	for i := range whole {
		sealed := s.Raw[size+i*secretconn.SealedFrameSize:][:secretconn.SealedFrameSize]
		opened, chunk, err := o.Open(sealed)
		if err != nil {
			return
		}
		s.Frames = append(s.Frames, Frame{Sealed: sealed, Opened: opened, Chunk: chunk, ChunkLen: len(chunk)})
	}
}
