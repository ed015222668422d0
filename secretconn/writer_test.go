package secretconn

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// writeRecorder records each write.
type writeRecorder struct {
	sizes []int
	all   bytes.Buffer
}

func (w *writeRecorder) Write(p []byte) (int, error) {
	w.sizes = append(w.sizes, len(p))

	return w.all.Write(p)
}

func TestWriteInBulk(t *testing.T) {
	full := batchFrames * sealedFrameSize

	for _, c := range []struct {
		size  int
		sizes []int
	}{
		{0, nil},
		{1, []int{1044}},
		{1024, []int{1044}},
		{1025, []int{2088}},
		{batchFrames * maxChunkSize, []int{full}},
		{batchFrames*maxChunkSize + 1, []int{full, 1044}},
		{(3*batchFrames + 8) * maxChunkSize, []int{full, full, full, 8 * 1044}},
	} {
		conn := &writeRecorder{}
		w, _ := newWriterReader(t)
		w.conn = conn

		want := pattern(c.size)
		n, err := w.Write(want)
		require.NoError(t, err)
		require.Equal(t, c.size, n)
		require.Equal(t, c.sizes, conn.sizes)
		require.Equal(t, pattern(c.size), want) // unchanged

		got, err := readAllOf(t, &conn.all)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// TestWritePaddingIsZero seals into a buffer full of old data.
func TestWritePaddingIsZero(t *testing.T) {
	dirty := new(batch)
	for i := range dirty {
		dirty[i] = 0xa5
	}

	for _, size := range []int{1, 5, 1023, 1024, 1025, 3000} {
		w, _ := newWriterReader(t)

		sealed, n, err := w.sealBatch(dirty, pattern(size))
		require.NoError(t, err)
		require.Equal(t, size, n)

		for i := 0; i*sealedFrameSize < len(sealed); i++ {
			chunk := pattern(size)[i*maxChunkSize : min((i+1)*maxChunkSize, size)]
			want := sealRaw(t, repeated(7), uint64(i), uint32(len(chunk)), chunk, 0)
			require.Equal(t, want, sealed[i*sealedFrameSize:(i+1)*sealedFrameSize])
		}
	}
}

// TestWriteDeadlineAtEveryByte cuts a write of three frames at every byte. When the
// rest is written, the peer reads each byte once.
func TestWriteDeadlineAtEveryByte(t *testing.T) {
	want := pattern(2500)

	for room := range 3 * sealedFrameSize {
		conn := &cutWriter{room: room, err: os.ErrDeadlineExceeded}
		w, _ := newWriterReader(t)
		w.conn = conn

		n, err := w.Write(want)
		require.Equal(t, os.ErrDeadlineExceeded, err)
		require.Equal(t, room, conn.got.Len())

		begun := (room + sealedFrameSize - 1) / sealedFrameSize
		require.Equal(t, min(begun*maxChunkSize, len(want)), n)

		conn.room = 1 // cut once more

		if room%sealedFrameSize == 0 || room%sealedFrameSize == sealedFrameSize-1 {
			conn.room = 0
		}

		m, err := w.Write(nil)
		require.Zero(t, m)

		if room%sealedFrameSize == 0 {
			require.NoError(t, err) // nothing is left unsent
		} else {
			require.Equal(t, os.ErrDeadlineExceeded, err)
		}

		conn.room = 1 << 20
		m, err = w.Write(want[n:])
		require.NoError(t, err)
		require.Equal(t, len(want)-n, m)

		got, err := readAllOf(t, &conn.got)
		require.NoError(t, err)
		require.Equal(t, want, got, "cut at byte %d", room)
	}
}

// TestWriteDeadlineThenOther writes other data after a deadline error. The peer reads
// the bytes that were reported as written, then the other data.
func TestWriteDeadlineThenOther(t *testing.T) {
	want := pattern(2500)

	for _, room := range []int{0, 1, sealedFrameSize, sealedFrameSize + 7, 3*sealedFrameSize - 1} {
		conn := &cutWriter{room: room, err: os.ErrDeadlineExceeded}
		w, _ := newWriterReader(t)
		w.conn = conn

		n, err := w.Write(want)
		require.Equal(t, os.ErrDeadlineExceeded, err)

		conn.room = 1 << 20
		_, err = w.Write([]byte("other"))
		require.NoError(t, err)

		got, err := readAllOf(t, &conn.got)
		require.NoError(t, err)
		require.Equal(t, string(want[:n])+"other", string(got), "cut at byte %d", room)
	}
}

func TestWriteErrorIsSticky(t *testing.T) {
	errBroken := errors.New("broken")

	for room := range 3 * sealedFrameSize {
		conn := &cutWriter{room: room, err: errBroken}
		w, _ := newWriterReader(t)
		w.conn = conn

		n, err := w.Write(pattern(2500))
		require.Equal(t, errBroken, err)
		require.Equal(t, room/sealedFrameSize*maxChunkSize, n)

		conn.room = 1 << 20

		for range 2 {
			n, err = w.Write([]byte("more"))
			require.Equal(t, errBroken, err)
			require.Zero(t, n)
		}

		require.Equal(t, room, conn.got.Len())
	}
}

func TestWriteErrorInLaterBatch(t *testing.T) {
	errBroken := errors.New("broken")
	conn := &cutWriter{room: (batchFrames+3)*sealedFrameSize + 9, err: errBroken}
	w, _ := newWriterReader(t)
	w.conn = conn

	n, err := w.Write(pattern(200 << 10))
	require.Equal(t, errBroken, err)
	require.Equal(t, (batchFrames+3)*maxChunkSize, n)
}

func TestWriteBrokenRestIsSticky(t *testing.T) {
	errBroken := errors.New("broken")
	conn := &cutWriter{room: 10, err: os.ErrDeadlineExceeded}
	w, _ := newWriterReader(t)
	w.conn = conn

	n, err := w.Write([]byte("text"))
	require.Equal(t, os.ErrDeadlineExceeded, err)
	require.Equal(t, 4, n)

	conn.err = errBroken

	for range 2 {
		n, err = w.Write([]byte("more"))
		require.Equal(t, errBroken, err)
		require.Zero(t, n)
	}
}

// writerFunc is a Write method.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestWriteMisbehavingConn(t *testing.T) {
	for name, c := range map[string]struct {
		write writerFunc
		err   error
	}{
		"short without error": {func(p []byte) (int, error) { return len(p) - 1, nil }, io.ErrShortWrite},
		"more than given":     {func(p []byte) (int, error) { return len(p) + 1, nil }, nil},
		"negative":            {func([]byte) (int, error) { return -1, os.ErrDeadlineExceeded }, nil},
	} {
		w, _ := newWriterReader(t)
		w.conn = c.write

		n, err := w.Write([]byte("text"))
		require.Error(t, err, name)
		require.Zero(t, n, name)

		if c.err != nil {
			require.Equal(t, c.err, err)
		}

		_, again := w.Write([]byte("more"))
		require.Equal(t, err, again, name)
	}
}

func TestWriteNonceExhaustedBefore(t *testing.T) {
	conn := &writeRecorder{}
	w, _ := newWriterReader(t)
	w.conn = conn
	w.out.nonce.setCounter(math.MaxUint64)

	for range 2 {
		n, err := w.Write([]byte("text"))
		require.Equal(t, ErrNonceExhausted, err)
		require.Zero(t, n)
	}

	require.Empty(t, conn.sizes)
}
