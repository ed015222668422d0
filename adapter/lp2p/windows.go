package lp2p

import (
	"encoding/binary"
	"reflect"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-yamux/v5"
)

// maxRead is the most bytes that one Read of a stream takes. It has to be less than half of
// streamWindow, or windows could not tell window updates apart.
const maxRead = 64 << 10

// windows knows the receive windows of one yamux connection's streams, and restores the credit
// that go-yamux loses when it doubles one (docs/yamux-window.md). All methods may be called
// concurrently.
//
// It relies on how go-yamux sends window updates. A stream whose window is w bytes gets an
// update once at least w/2 have been read, less than w/2+maxRead. Where go-yamux makes w twice
// as large it sends w alone, and forgets what has been read. So an update of exactly w shows
// that at least w/2 are missing. Where a release sends the sum, the update is larger and stays
// as it is.
type windows struct {
	mtx  sync.Mutex
	size map[uint32]uint32 // bytes, by the ID of each stream that can be read
}

func newWindows() *windows { return &windows{size: make(map[uint32]uint32)} }

// begin notes a new stream.
func (w *windows) begin(stream uint32) {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	w.size[stream] = streamWindow
}

// end forgets a stream that nobody reads any more.
func (w *windows) end(stream uint32) {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	delete(w.size, stream)
}

// credit returns what an update of the stream's window by that many bytes has to grant.
func (w *windows) credit(stream, granted uint32) uint32 {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	size, known := w.size[stream]
	if !known || granted < size {
		return granted
	}
	w.size[stream] = 2 * size
	if granted == size {
		return granted + size/2
	}

	return granted
}

// mend returns a frame with the credit that it has to grant. It does not change the frame.
func (w *windows) mend(frame []byte) []byte {
	if len(frame) != yamuxHeader || frame[yamuxTypeAt] != yamuxWindowUpdate || binary.BigEndian.Uint16(frame[yamuxFlagsAt:]) != 0 {
		return frame
	}
	granted := binary.BigEndian.Uint32(frame[yamuxLengthAt:])
	credit := w.credit(binary.BigEndian.Uint32(frame[yamuxStreamAt:]), granted)
	if credit == granted {
		return frame
	}
	mended := append([]byte(nil), frame...)
	binary.BigEndian.PutUint32(mended[yamuxLengthAt:], credit)

	return mended
}

// streamID returns the ID of a stream of go-libp2p's yamux, whose type is not exported; its
// underlying type is that of yamux.Stream. It returns false for any other stream.
func streamID(s network.MuxedStream) (uint32, bool) {
	v, yamuxStream := reflect.ValueOf(s), reflect.TypeFor[*yamux.Stream]()
	if !v.CanConvert(yamuxStream) {
		return 0, false
	}

	return v.Convert(yamuxStream).Interface().(*yamux.Stream).StreamID(), true
}
