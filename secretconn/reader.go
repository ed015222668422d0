package secretconn

import (
	"errors"
	"io"
	"os"
)

// maxEmptyReads is how many reads in a row may yield nothing before the conn
// counts as broken.
const maxEmptyReads = 100

// frameReader reads sealed frames from conn and hands out what is in them. It
// works without a key for the clear text at the start of the stream, so that no
// byte that arrives together with it is lost. It is not safe for concurrent
// use.
type frameReader struct {
	conn io.Reader
	in   direction

	buf   []byte // idle[:] or large[:]
	r, w  int    // buf[r:w] holds what has arrived and has not been opened
	plain []byte // what has been opened and not been read; part of buf
	full  bool   // the last read left no room in buf: there may be more

	late error // came together with data; for the next read
	err  error // final

	large *batch
	idle  [idleFrames * sealedFrameSize]byte
}

func newFrameReader(conn io.Reader) *frameReader {
	f := &frameReader{conn: conn}
	f.buf = f.idle[:]

	return f
}

// Read fills p with the content of the frames at hand and waits for more only
// when there is none. A deadline error of conn is returned as it is and keeps
// the part of a frame that has arrived; any other error is final.
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

// readClear reads bytes that are not in frames.
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

// take moves content of complete frames to p.
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

// fill reads from conn at least one byte, or returns an error. All that was
// opened has been read by then.
func (f *frameReader) fill() error {
	if f.err != nil {
		return f.err
	}

	f.makeRoom()

	n, err := f.readConn()
	f.w += n
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

// readConn returns either bytes or an error, never both.
func (f *frameReader) readConn() (int, error) {
	if err := f.late; err != nil {
		f.late = nil

		return 0, err
	}

	for range maxEmptyReads {
		n, err := f.conn.Read(f.buf[f.w:])
		if n > 0 {
			f.late = err

			return n, nil
		}

		if err != nil {
			return 0, err
		}
	}

	return 0, io.ErrNoProgress
}

// makeRoom moves the begun frame to the front of the buffer that fits the pace
// of the peer: a large one while reads come back full, the own small one as soon
// as a read left room. So an idle connection holds a large buffer only when its
// last burst ended exactly with it.
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

// release gives the large buffer back. Nothing refers to it any more.
func (f *frameReader) release() {
	if f.large != nil {
		putBatch(f.large)
		f.large = nil
	}
}
