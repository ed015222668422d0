package secretconn

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkThroughput sends in one direction over loopback TCP. Both ends share the
// processors.
func BenchmarkThroughput(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("write=%dKiB", size>>10), func(b *testing.B) {
			from, to, err := connectTCP()
			require.NoError(b, err)

			defer closeBoth(b, from, to)

			done := make(chan error, 1)
			total := size * b.N

			go func() {
				p := make([]byte, 64<<10)

				for left := total; left > 0; {
					n, err := to.Read(p[:min(left, len(p))])
					if err != nil {
						done <- err

						return
					}

					left -= n
				}

				done <- nil
			}()

			p := pattern(size)

			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()

			for range b.N {
				if _, err := from.Write(p); err != nil {
					b.Fatal(err)
				}
			}

			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkRoundTrip measures the round trip of a small message.
func BenchmarkRoundTrip(b *testing.B) {
	from, to, err := connectTCP()
	require.NoError(b, err)

	done := make(chan error, 1)

	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{to}, make([]byte, 100))
		done <- err
	}()

	p := pattern(100)

	b.ReportAllocs()
	b.ResetTimer()

	for range b.N {
		if _, err := from.Write(p); err != nil {
			b.Fatal(err)
		}

		if _, err := io.ReadFull(from, p); err != nil {
			b.Fatal(err)
		}
	}

	b.StopTimer()
	require.NoError(b, from.Close())
	require.NoError(b, <-done)
	require.NoError(b, to.Close())
}

// discard is a conn that accepts and drops all data.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkSeal measures the writer without a socket.
func BenchmarkSeal(b *testing.B) {
	w, _ := newWriterReader(b)
	w.conn = discard{}
	p := pattern(64 << 10)

	b.SetBytes(int64(len(p)))
	b.ReportAllocs()

	for b.Loop() {
		if _, err := w.Write(p); err != nil {
			b.Fatal(err)
		}
	}
}

// looper returns the same sealed bytes over and over.
type looper struct {
	sealed []byte
	at     int
}

func (l *looper) Read(p []byte) (int, error) {
	if l.at == len(l.sealed) {
		l.at = 0
	}

	n := copy(p, l.sealed[l.at:])
	l.at += n

	return n, nil
}

// BenchmarkOpen measures the reader without a socket.
func BenchmarkOpen(b *testing.B) {
	p := make([]byte, 64<<10)
	_, r := newWriterReader(b)
	r.conn = &looper{sealed: seal(b, p)}

	b.SetBytes(int64(len(p)))
	b.ReportAllocs()

	for b.Loop() {
		for left := len(p); left > 0; {
			n, err := r.Read(p[:left])
			if err != nil {
				b.Fatal(err)
			}

			left -= n
		}

		r.in.nonce.setCounter(0)
	}
}

// BenchmarkHandshake measures both sides of a TCP connect and a handshake over
// loopback.
func BenchmarkHandshake(b *testing.B) {
	b.ReportAllocs()

	for b.Loop() {
		x, y, err := connectTCP()
		if err != nil {
			b.Fatal(err)
		}

		closeBoth(b, x, y)
	}
}
