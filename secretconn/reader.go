package secretconn

import (
	"errors"
	"io"
	"os"
	"sync/atomic"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// frameReader reads sealed frames from conn and returns their content. It also reads
// the unencrypted start of the stream, so that no byte that arrives with it is lost.
// It is not safe for concurrent use.
type frameReader struct {
	conn io.Reader
	in   direction

	buf   []byte       // idle[:] or large[:]
	r, w  int          // buf[r:w] has arrived and has not been opened
	plain []byte       // the part of buf that has been opened and not been read
	full  bool         // the last read filled buf
	heard atomic.Bool  // set when bytes arrive; SpeakAfter clears it
	read  atomic.Int64 // bytes that have arrived

	err error // final

	large *batch
	idle  [idleFrames * sealedFrameSize]byte
}

func newFrameReader(conn io.Reader) *frameReader {
	f := &frameReader{conn: conn}
	f.buf = f.idle[:]

	return f
}

// Read fills p with the content of buffered frames. It reads from conn only when
// there is none. After a deadline error of conn, a frame that arrived in part stays
// buffered. Any other error is final.
func (f *frameReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}

	for {
		if n := f.take(p); n > 0 {
			return n, nil
		}

		if err := f.fill(); err != nil {
			return 0, err
		}
	}
}

// readClear reads unencrypted bytes.
func (f *frameReader) readClear(p []byte) (int, error) {
	if f.r == f.w {
		if err := f.fill(); err != nil {
			return 0, err
		}
	}

	n := copy(p, f.buf[f.r:f.w])
	f.r += n

	return n, nil
}

// take copies the content of complete frames to p.
func (f *frameReader) take(p []byte) int {
	n := 0

	for n < len(p) {
		if len(f.plain) == 0 && !f.openNext() {
			break
		}

		c := copy(p[n:], f.plain)
		f.plain = f.plain[c:]
		n += c
	}

	return n
}

// openNext opens the next complete frame, if there is one.
func (f *frameReader) openNext() bool {
	if f.err != nil || f.w-f.r < sealedFrameSize {
		return false
	}

	chunk, err := f.in.open(f.buf[f.r : f.r+sealedFrameSize])
	if err != nil {
		f.fail(err)

		return false
	}

	f.r += sealedFrameSize
	f.plain = chunk

	return true
}

// fill reads at least one byte from conn. All opened content has been read before.
func (f *frameReader) fill() error {
	if f.err != nil {
		return f.err
	}

	f.makeRoom()

	n, err := wire.ReadSome(f.conn, f.buf[f.w:])
	f.w += n
	if n > 0 {
		f.heard.Store(true)
		f.read.Add(int64(n))
	}

	f.full = f.w == len(f.buf)

	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}

	if err == io.EOF && f.r < f.w {
		err = io.ErrUnexpectedEOF
	}

	f.fail(err)

	return err
}

// makeRoom chooses the buffer for the next read and moves the incomplete frame to
// its front. It takes a large buffer when the last read filled the buffer, else the
// small one of the connection. So a large buffer is held while idle only when the
// last read happened to fill it exactly.
func (f *frameReader) makeRoom() {
	begun := f.buf[f.r:f.w]
	f.r, f.w = 0, len(begun)

	room := f.idle[:]

	if f.full {
		if f.large == nil {
			f.large = getBatch()
		}

		room = f.large[:]
	}

	copy(room, begun)
	f.buf = room

	if !f.full {
		f.release()
	}
}

func (f *frameReader) fail(err error) {
	f.err = err
	f.buf = f.idle[:]
	f.r, f.w = 0, 0
	f.release()
}

// release returns the large buffer to the pool. Nothing may refer to it.
func (f *frameReader) release() {
	if f.large != nil {
		putBatch(f.large)
		f.large = nil
	}
}
