package transcript

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

// shownBytes is how many bytes of a span are shown, unless all are.
const shownBytes = 32

// Section is a part of a stream with a title: the ephemeral message, a frame, or a message that
// travels in frames.
type Section struct {
	Title string
	Spans []Span
	// Again tells that the bytes are the payloads of packets above, explained once more as the
	// message that they make together.
	Again bool
}

// Explained is a stream, explained twice: as the bytes on the wire, and as the messages in its
// frames. In each, the spans in their order are all the bytes, each once, but for sections that
// are Again.
type Explained struct {
	Wire, Messages []Section
}

// Explain explains a transcript, first what the dialer sent, then the listener. The error says
// why frames could not be opened; what is in clear text is explained all the same.
func (t *Transcript) Explain() (dialer, listener Explained, err error) {
	sent, received, challenge, err := t.openers()
	dialer = explainStream(t.DialerToListener.Raw, sent, challenge)
	listener = explainStream(t.ListenerToDialer.Raw, received, challenge)

	return dialer, listener, err
}

func explainStream(raw []byte, o *secretconn.Opener, challenge [32]byte) (x Explained) {
	e := &explainer{}
	_, size := ephemeralOf(raw)
	if size == 0 {
		e.add(raw, "not an ephemeral message")
		x.Wire = []Section{{Title: "in clear text", Spans: e.spans}}

		return x
	}
	e.sized(raw[:size], "ephemeral message", func(body []byte) { e.message(body, ephemeralFields) })
	x.Wire = []Section{{Title: "ephemeral message, in clear text (§3.1)", Spans: e.spans}}
	var stream []byte
	for rest, i := raw[size:], 0; len(rest) > 0; i++ {
		sealed := rest[:min(len(rest), secretconn.SealedFrameSize)]
		rest = rest[len(sealed):]
		section, chunk, ok := explainFrame(sealed, o, i)
		x.Wire = append(x.Wire, section)
		stream = append(stream, chunk...)
		if !ok {
			o = nil // what follows cannot be opened either
		}
	}
	x.Messages = ExplainMessages(stream, challenge)

	return x
}

// explainFrame explains a frame, and returns its chunk if it was opened.
func explainFrame(sealed []byte, o *secretconn.Opener, number int) (s Section, chunk []byte, ok bool) {
	e := &explainer{}
	s.Title = fmt.Sprintf("frame %d (§3.3)", number)
	if o == nil || len(sealed) < secretconn.SealedFrameSize {
		what := "a frame that is not opened"
		if len(sealed) < secretconn.SealedFrameSize {
			what = "the begin of a frame: the recording ends here"
		}
		e.add(sealed, "%s", what)

		return Section{Title: s.Title, Spans: e.spans}, nil, false
	}
	opened, chunk, err := o.Open(sealed)
	if err != nil {
		e.add(sealed, "a frame that cannot be opened: %v", err)

		return Section{Title: s.Title, Spans: e.spans}, nil, false
	}
	s.Title += ", opened with nonce " + fmt.Sprint(number)
	e.add(opened[:4], "length of the chunk: %d", binary.LittleEndian.Uint32(opened))
	e.add(chunk, "chunk")
	padding := opened[4+len(chunk):]
	e.add(padding, "padding, %s", map[bool]string{true: "all zero", false: "not zero, to be ignored"}[allZero(padding)])
	e.add(sealed[len(opened):], "Poly1305 tag")

	return Section{Title: s.Title, Spans: e.spans}, chunk, true
}

func allZero(data []byte) bool {
	for _, b := range data {
		if b != 0 {
			return false
		}
	}

	return true
}

// ExplainMessages explains the stream that the chunks of all frames make: the auth message, which
// signs the challenge, the NodeInfo, and packets.
func ExplainMessages(stream []byte, challenge [32]byte) (sections []Section) {
	next := func(title, name string, explain func(*explainer, []byte)) {
		if len(stream) == 0 {
			return
		}
		e := &explainer{}
		stream = e.sized(stream, name, func(body []byte) { explain(e, body) })
		sections = append(sections, Section{Title: title, Spans: e.spans})
	}
	title := "auth message (§3.4)" + signature(stream, challenge)
	next(title, "auth message", func(e *explainer, body []byte) { e.message(body, authFields) })
	next("NodeInfo (§4)", "NodeInfo", func(e *explainer, body []byte) { e.message(body, nodeInfoFields) })
	pieces := make(map[byte][]byte) // of messages that are not whole
	for len(stream) > 0 {
		title, message := packetTitle(stream, pieces)
		next(title, "packet", (*explainer).any)
		if message != nil {
			e := &explainer{}
			e.any(message)
			sections = append(sections, Section{"  the payload above as a message of discovery (§6)", e.spans, true})
		}
	}

	return sections
}

// signature says who signed the auth message at the start of a stream, and whether it is valid.
func signature(stream []byte, challenge [32]byte) string {
	size, body, ok := (&explainer{}).varint(stream, "")
	if !ok || size > uint64(len(body)) {
		return ""
	}
	auth, err := wire.DecodeAuth(body[:size])
	if err != nil {
		return fmt.Sprintf(", refused: %v", err)
	}
	id := types.IDFromPublicKey(auth.PublicKey[:])
	if !ed25519.Verify(auth.PublicKey[:], challenge[:], auth.Signature[:]) {
		return fmt.Sprintf(" of %s, whose signature is not valid", id)
	}

	return fmt.Sprintf(" of %s, whose signature is valid", id)
}

// packetTitle names the packet at the start of a stream. It returns the message that it ends,
// if that is one of discovery.
func packetTitle(stream []byte, pieces map[byte][]byte) (title string, message []byte) {
	size, body, ok := (&explainer{}).varint(stream, "")
	if !ok || size > uint64(len(body)) {
		return "packet (§5.1)", nil
	}
	packet, err := wire.DecodePacket(body[:size])
	switch {
	case err != nil:
		return fmt.Sprintf("packet, refused: %v", err), nil
	case packet.Kind != wire.PacketMsg:
		return fmt.Sprintf("packet: %s (§5.2)", packet.Kind), nil
	}
	title = fmt.Sprintf("packet: %d bytes on channel 0x%02x, %s (§5.1)", len(packet.Payload), packet.Channel, channelName(uint64(packet.Channel)))
	if packet.Channel == pex.Channel {
		whole := append(pieces[packet.Channel], packet.Payload...)
		if pieces[packet.Channel] = whole; packet.EOF {
			delete(pieces, packet.Channel)

			return title, whole
		}
	}

	return title, nil
}

// WriteText writes an explained transcript for people. All bytes of a span are shown if all is
// true, and otherwise the first 32.
func (t *Transcript) WriteText(out io.Writer, all bool) error {
	dialer, listener, err := t.Explain()
	var b strings.Builder
	if t.Name != "" {
		fmt.Fprintf(&b, "%s\n", t.Name)
	}
	if t.Dialect != "" {
		fmt.Fprintf(&b, "dialect %s (docs/wire.md §1)\n", t.Dialect)
	}
	b.WriteString("The sections named by § are those of docs/wire.md. The first column counts the bytes of the stream.\n")
	if err != nil {
		fmt.Fprintf(&b, "%v\n", err)
	}
	for _, side := range []struct {
		title string
		x     Explained
	}{{"dialer to listener", dialer}, {"listener to dialer", listener}} {
		writeSections(&b, side.title+", the bytes on the wire", side.x.Wire, all)
		writeSections(&b, side.title+", what is in the frames", side.x.Messages, all)
	}
	_, err = io.WriteString(out, cli.Printable(b.String()))

	return err
}

func writeSections(b *strings.Builder, title string, sections []Section, all bool) {
	if len(sections) == 0 {
		return
	}
	fmt.Fprintf(b, "\n== %s\n", title)
	offset := 0
	for _, s := range sections {
		fmt.Fprintf(b, "\n%s\n", s.Title)
		for _, span := range s.Spans {
			shown, more := span.Bytes, ""
			if !all && len(shown) > shownBytes {
				shown, more = shown[:shownBytes], fmt.Sprintf("… %d bytes", len(span.Bytes))
			}
			at := fmt.Sprint(offset)
			if s.Again {
				at = ""
			} else {
				offset += len(span.Bytes)
			}
			fmt.Fprintf(b, "%7s  %s%s%s  %s\n", at, strings.Repeat("  ", span.Depth), hex.EncodeToString(shown), more, span.Text)
		}
	}
}
