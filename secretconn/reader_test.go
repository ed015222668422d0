package secretconn

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// readAllOf reads a sealed stream to its end or first error.
func readAllOf(t testing.TB, conn io.Reader) ([]byte, error) {
	t.Helper()

	_, r := newWriterReader(t)
	r.conn = conn

	return io.ReadAll(r)
}

func TestReadPaces(t *testing.T) {
	want := pattern(200_000)
	sealed := seal(t, want)

	for name, conn := range map[string]io.Reader{
		"as asked":             bytes.NewReader(sealed),
		"one byte each":        iotest.OneByteReader(bytes.NewReader(sealed)),
		"half of what asked":   iotest.HalfReader(bytes.NewReader(sealed)),
		"error with last data": iotest.DataErrReader(bytes.NewReader(sealed)),
	} {
		got, err := readAllOf(t, conn)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

func TestReadSmallPieces(t *testing.T) {
	want := pattern(5000)

	for _, size := range []int{1, 3, 1023, 1024, 1025, 4999, 5000, 9000} {
		_, r := newWriterReader(t)
		r.conn = bytes.NewReader(seal(t, want))

		var got []byte

		for p := make([]byte, size); len(got) < len(want); {
			n, err := r.Read(p)
			require.NoError(t, err)
			require.Positive(t, n)
			got = append(got, p[:n]...)
		}

		require.Equal(t, want, got)

		n, err := r.Read(make([]byte, size))
		require.Zero(t, n)
		require.Equal(t, io.EOF, err)
	}
}

func TestReadEmptySlice(t *testing.T) {
	_, r := newWriterReader(t)
	r.conn = iotest.ErrReader(errors.New("must not be read"))

	n, err := r.Read(nil)
	require.Zero(t, n)
	require.NoError(t, err)
}

// readCounter counts reads.
type readCounter struct {
	io.Reader

	reads int
}

func (c *readCounter) Read(p []byte) (int, error) {
	c.reads++

	return c.Reader.Read(p)
}

func TestReadInBulk(t *testing.T) {
	const frames = 1000

	conn := &readCounter{Reader: bytes.NewReader(seal(t, pattern(frames*maxChunkSize)))}
	_, r := newWriterReader(t)
	r.conn = conn

	p := make([]byte, batchFrames*maxChunkSize)

	n, err := r.Read(p)
	require.NoError(t, err)
	require.Equal(t, idleFrames*maxChunkSize, n) // starts small
	require.Nil(t, r.large)

	n, err = r.Read(p)
	require.NoError(t, err)
	require.Equal(t, batchFrames*maxChunkSize, n) // and grows at once
	require.NotNil(t, r.large)

	rest, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Len(t, rest, (frames-idleFrames-batchFrames)*maxChunkSize)
	require.LessOrEqual(t, conn.reads, frames/batchFrames+3)
	require.Nil(t, r.large) // returned at the end of the stream
}

// TestReadShrinksWhenIdle checks that a read that waits for an idle peer holds only
// the small buffer, also when that holds part of a frame.
func TestReadShrinksWhenIdle(t *testing.T) {
	want := pattern((idleFrames + 20) * maxChunkSize)
	sealed := seal(t, want)
	cut := len(sealed) - 500
	quiet := &script{steps: []step{{data: sealed[:cut]}, {err: os.ErrDeadlineExceeded}, {data: sealed[cut:]}}}

	_, r := newWriterReader(t)
	r.conn = quiet

	got := make([]byte, len(want))
	n, err := io.ReadFull(r, got)
	require.Equal(t, os.ErrDeadlineExceeded, err)
	require.Nil(t, r.large)
	require.Equal(t, len(r.idle), cap(r.buf))
	require.Same(t, &r.idle[0], &r.buf[0])

	_, err = io.ReadFull(r, got[n:])
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// script is a conn whose Read follows steps. Each step returns its data, over several
// reads if necessary, and then its error. After the last step Read returns io.EOF.
type script struct {
	steps []step
}

type step struct {
	data []byte
	err  error
}

func (s *script) Read(p []byte) (int, error) {
	if len(s.steps) == 0 {
		return 0, io.EOF
	}

	now := &s.steps[0]
	n := copy(p, now.data)
	now.data = now.data[n:]

	if len(now.data) > 0 || (n > 0 && now.err != nil) {
		return n, nil
	}

	err := now.err
	s.steps = s.steps[1:]

	return n, err
}

func TestReadDeadlineAtEveryByte(t *testing.T) {
	want := pattern(1500)
	sealed := seal(t, want)

	for at := range len(sealed) + 1 {
		_, r := newWriterReader(t)
		r.conn = &script{steps: []step{
			{data: sealed[:at], err: os.ErrDeadlineExceeded},
			{err: os.ErrDeadlineExceeded},
			{data: sealed[at:]},
		}}

		var got []byte

		p := make([]byte, 700)
		deadlines := 0

		for {
			n, err := r.Read(p)
			got = append(got, p[:n]...)

			if err == io.EOF {
				break
			}

			if err != nil {
				require.Equal(t, os.ErrDeadlineExceeded, err)
				require.Zero(t, n)

				deadlines++
			}
		}

		require.Equal(t, 2, deadlines)
		require.Equal(t, want, got, "at byte %d", at)
	}
}

func TestReadTruncatedAtEveryByte(t *testing.T) {
	want := pattern(1500)
	sealed := seal(t, want)
	require.Len(t, sealed, 2*sealedFrameSize)

	for size := range len(sealed) + 1 {
		_, r := newWriterReader(t)
		r.conn = bytes.NewReader(sealed[:size])

		got, err := io.ReadAll(r)
		require.Equal(t, want[:min(size/sealedFrameSize*maxChunkSize, len(want))], got)

		final := io.EOF
		if size%sealedFrameSize != 0 {
			final = io.ErrUnexpectedEOF
			require.Equal(t, final, err)
		} else {
			require.NoError(t, err)
		}

		_, err = r.Read(make([]byte, 1))
		require.Equal(t, final, err) // sticky
	}
}

func TestReadBitFlips(t *testing.T) {
	want := pattern(2500)
	clean := seal(t, want)

	for at := range clean {
		sealed := bytes.Clone(clean)
		sealed[at] ^= 1 << (at % 8)

		_, r := newWriterReader(t)
		r.conn = bytes.NewReader(sealed)

		got, err := io.ReadAll(r)
		require.Equal(t, ErrFrameTag, err, "byte %d", at)
		require.Equal(t, want[:at/sealedFrameSize*maxChunkSize], got)

		_, err = r.Read(make([]byte, 1))
		require.Equal(t, ErrFrameTag, err) // sticky
	}
}

func TestReadReplayedReorderedDropped(t *testing.T) {
	sealed := seal(t, pattern(3*maxChunkSize))
	frame := func(i int) []byte { return sealed[i*sealedFrameSize : (i+1)*sealedFrameSize] }

	for name, c := range map[string]struct {
		frames [][]byte
		good   int
	}{
		"replayed first":  {[][]byte{frame(0), frame(0), frame(1)}, 1},
		"replayed later":  {[][]byte{frame(0), frame(1), frame(2), frame(0)}, 3},
		"reordered":       {[][]byte{frame(1), frame(0), frame(2)}, 0},
		"reordered later": {[][]byte{frame(0), frame(2), frame(1)}, 1},
		"dropped":         {[][]byte{frame(0), frame(2)}, 1},
	} {
		got, err := readAllOf(t, bytes.NewReader(slices.Concat(c.frames...)))
		require.Equal(t, ErrFrameTag, err, name)
		require.Equal(t, pattern(3 * maxChunkSize)[:c.good*maxChunkSize], got, name)
	}
}

func TestReadChunkLengths(t *testing.T) {
	key := repeated(7)
	content := pattern(maxChunkSize)

	for length, want := range map[uint32]error{
		0:              ErrFrameEmpty,
		1:              nil,
		1024:           nil,
		1025:           ErrFrameLength,
		1028:           ErrFrameLength,
		1 << 24:        ErrFrameLength,
		1 << 31:        ErrFrameLength,
		math.MaxUint32: ErrFrameLength,
	} {
		got, err := readAllOf(t, bytes.NewReader(sealRaw(t, key, 0, length, content, 0)))

		if want != nil {
			require.Equal(t, want, err, "length %d", length)
			require.Empty(t, got)

			continue
		}

		require.NoError(t, err)
		require.Equal(t, content[:length], got)
	}
}

func TestReadConnErrors(t *testing.T) {
	errBroken := errors.New("broken")
	sealed := seal(t, []byte("whole"))

	_, r := newWriterReader(t)
	r.conn = &script{steps: []step{{data: sealed}, {err: errBroken}, {data: sealed}}}

	p := make([]byte, 10)
	n, err := r.Read(p)
	require.NoError(t, err)
	require.Equal(t, "whole", string(p[:n]))

	for range 2 { // sticky, although the conn recovers
		_, err = r.Read(p)
		require.Equal(t, errBroken, err)
	}
}

// lazyReader returns 0, nil from every Read.
type lazyReader struct{}

func (lazyReader) Read([]byte) (int, error) { return 0, nil }

func TestReadNoProgress(t *testing.T) {
	_, err := readAllOf(t, lazyReader{})
	require.Equal(t, io.ErrNoProgress, err)
}

func TestReadNonceExhausted(t *testing.T) {
	w, r := newWriterReader(t)

	var sealed bytes.Buffer

	w.conn = &sealed
	w.out.nonce.setCounter(math.MaxUint64 - 1)
	r.in.nonce.setCounter(math.MaxUint64 - 1)

	n, err := w.Write(pattern(3 * maxChunkSize))
	require.Equal(t, ErrNonceExhausted, err)
	require.Equal(t, maxChunkSize, n)
	require.Equal(t, sealedFrameSize, sealed.Len())

	n, err = w.Write([]byte{1})
	require.Equal(t, ErrNonceExhausted, err)
	require.Zero(t, n)
	require.Equal(t, sealedFrameSize, sealed.Len())

	sealed.Write(make([]byte, sealedFrameSize))

	r.conn = &sealed
	got, err := io.ReadAll(r)
	require.Equal(t, ErrNonceExhausted, err)
	require.Equal(t, pattern(3 * maxChunkSize)[:maxChunkSize], got)
}
