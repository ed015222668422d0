package wire_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

func TestReadSizedStopsAtTheBorder(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 100_000)
	stream := wire.AppendSized(nil, []byte("one"))
	stream = wire.AppendSized(stream, nil)
	stream = wire.AppendSized(stream, long)
	stream = append(stream, "rest"...)

	readers := map[string]func(io.Reader) io.Reader{
		"whole":    func(r io.Reader) io.Reader { return r },
		"one byte": iotest.OneByteReader,
		"data and error together": func(r io.Reader) io.Reader {
			return iotest.DataErrReader(r)
		},
	}

	for name, wrap := range readers {
		t.Run(name, func(t *testing.T) {
			r := wrap(bytes.NewReader(stream))

			for _, want := range [][]byte{[]byte("one"), {}, long} {
				got, err := wire.ReadSized(r, 200_000)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got))
			}

			rest, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, "rest", string(rest))
		})
	}
}

func TestReadSizedEndOfStream(t *testing.T) {
	sized := wire.AppendSized(nil, bytes.Repeat([]byte("x"), 300))

	_, err := wire.ReadSized(strings.NewReader(""), 1024)
	require.Equal(t, io.EOF, err)

	for cut := 1; cut < len(sized); cut++ {
		_, err := wire.ReadSized(bytes.NewReader(sized[:cut]), 1024)
		require.Equal(t, io.ErrUnexpectedEOF, err, "cut at %d", cut)
	}
}

func TestReadSizedLimit(t *testing.T) {
	sized := wire.AppendSized(nil, make([]byte, 1000))
	padded := append([]byte{0xe8, 0x87, 0x80, 0x80, 0x00}, make([]byte, 1000)...)

	for _, message := range [][]byte{sized, padded} {
		got, err := wire.ReadSized(bytes.NewReader(message), len(message))
		require.NoError(t, err)
		require.Len(t, got, 1000)

		r := bytes.NewReader(message)
		_, err = wire.ReadSized(r, len(message)-1)
		require.ErrorIs(t, err, wire.ErrTooLarge)
		require.Equal(t, 1000, r.Len(), "body bytes were read")
	}

	for _, max := range []int{-1, 0} {
		_, err := wire.ReadSized(bytes.NewReader([]byte{0}), max)
		require.ErrorIs(t, err, wire.ErrTooLarge)
	}

	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
	_, err := wire.ReadSized(bytes.NewReader(huge), 1<<20)
	require.ErrorIs(t, err, wire.ErrTooLarge)
}

func TestReadSizedPrefixOverflow(t *testing.T) {
	for _, last := range []byte{0x02, 0x7f, 0x80, 0xff} {
		prefix := append(bytes.Repeat([]byte{0xff}, 9), last)
		_, err := wire.ReadSized(bytes.NewReader(prefix), 1<<20)

		var refused *wire.DecodeError

		require.ErrorAs(t, err, &refused)
		require.Equal(t, "length prefix", refused.Field)
	}
}

// TestReadSizedAllocation checks that a prefix without its body does not make
// ReadSized allocate the announced size.
func TestReadSizedAllocation(t *testing.T) {
	const announced = 64 << 20

	message := wire.AppendSized(nil, make([]byte, announced))[:100]

	var before, after runtime.MemStats

	runtime.ReadMemStats(&before)

	_, err := wire.ReadSized(bytes.NewReader(message), announced+10)

	runtime.ReadMemStats(&after)
	require.Equal(t, io.ErrUnexpectedEOF, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(announced/64))
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

func TestReadSizedReaderErrors(t *testing.T) {
	failure := errors.New("cable cut")

	_, err := wire.ReadSized(brokenReader{failure}, 100)
	require.ErrorIs(t, err, failure)

	_, err = wire.ReadSized(io.MultiReader(strings.NewReader("\x05abc"), brokenReader{failure}), 100)
	require.ErrorIs(t, err, failure)

	_, err = wire.ReadSized(brokenReader{}, 100)
	require.ErrorIs(t, err, io.ErrNoProgress)
}
