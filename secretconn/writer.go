package secretconn

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// frameWriter seals data into frames and writes them to conn in batches. It is not
// safe for concurrent use.
type frameWriter struct {
	conn io.Writer
	out  direction

	unsent []byte // sealed rest of a frame that a deadline cut
	err    error  // final
}

// Write implements SecretConnection.Write, whose comment defines the returned
// number.
func (f *frameWriter) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}

	if err := f.finishFrame(); err != nil {
		return 0, err
	}

	if len(p) == 0 {
		return 0, nil
	}

	b := getBatch()
	defer putBatch(b)

	written := 0

	for written < len(p) {
		n, err := f.writeBatch(b, p[written:])
		written += n

		if err != nil {
			return written, err
		}
	}

	return written, nil
}

// writeBatch seals as much of p as fits in b and sends it.
func (f *frameWriter) writeBatch(b *batch, p []byte) (int, error) {
	first := f.out.nonce.counter()

	sealed, chunks, sealErr := f.sealBatch(b, p)
	if len(sealed) == 0 {
		f.err = sealErr

		return 0, sealErr
	}

	sent, err := f.send(sealed)
	if err == nil {
		f.err = sealErr

		return chunks, sealErr
	}

	frames := sent / sealedFrameSize

	if errors.Is(err, os.ErrDeadlineExceeded) {
		if cut := sent % sealedFrameSize; cut > 0 {
			frames++
			f.unsent = slices.Clone(sealed[sent : frames*sealedFrameSize])
		}

		// No byte of the later frames was written, so their nonces can be used
		// again.
		f.out.nonce.setCounter(first + uint64(frames))
	}

	return min(frames*maxChunkSize, chunks), err
}

// sealBatch seals as much of p as fits into b. It returns the sealed frames and how
// many bytes of p they hold, which may be fewer when the nonces are exhausted.
func (f *frameWriter) sealBatch(b *batch, p []byte) (sealed []byte, chunks int, err error) {
	size := 0

	for size < len(b) && chunks < len(p) {
		chunk := p[chunks:min(chunks+maxChunkSize, len(p))]

		if err := f.out.seal(b[size:size+sealedFrameSize], chunk); err != nil {
			return b[:size], chunks, err
		}

		size += sealedFrameSize
		chunks += len(chunk)
	}

	return b[:size], chunks, nil
}

// finishFrame sends the rest of a frame that a deadline cut.
func (f *frameWriter) finishFrame() error {
	if len(f.unsent) == 0 {
		return nil
	}

	n, err := f.send(f.unsent)
	f.unsent = f.unsent[n:]

	return err
}

// send writes sealed bytes to conn and returns how many it took. Every error except
// a passed deadline is final, since the peer cannot open frames after a gap.
func (f *frameWriter) send(sealed []byte) (int, error) {
	n, err := f.conn.Write(sealed)

	switch {
	case n < 0 || n > len(sealed):
		n, err = 0, fmt.Errorf("secretconn: conn reports %d of %d bytes as written", n, len(sealed))
	case n < len(sealed) && err == nil:
		err = io.ErrShortWrite
	}

	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		f.err = err
	}

	return n, err
}
