//go:build !race

// Under the race detector, sync.Pool drops items at random.

package secretconn

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriteAllocatesNothing(t *testing.T) {
	for _, size := range []int{1, 1024, 100_000} {
		w, _ := newWriterReader(t)
		w.conn = discard{}
		p := pattern(size)

		require.Zero(t, testing.AllocsPerRun(100, func() {
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
		}), "%d bytes", size)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	for _, size := range []int{1, 1024, 100_000} {
		_, r := newWriterReader(t)
		p := make([]byte, size)
		r.conn = &looper{sealed: seal(t, p)}

		require.Zero(t, testing.AllocsPerRun(100, func() {
			r.in.nonce.setCounter(0)

			if _, err := io.ReadFull(r, p); err != nil {
				t.Fatal(err)
			}
		}), "%d bytes", size)
	}
}
