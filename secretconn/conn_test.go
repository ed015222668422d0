package secretconn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

// tcpPair returns both ends of a loopback connection.
func tcpPair() (a, b net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()

	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}

	if b, err = l.Accept(); err != nil {
		return nil, nil, errors.Join(err, a.Close())
	}

	return a, b, nil
}

// connectTCP runs the handshake over a loopback connection.
func connectTCP() (a, b *SecretConnection, err error) {
	connA, connB, err := tcpPair()
	if err != nil {
		return nil, nil, err
	}

	done := make(chan victimResult, 1)

	go func() {
		sc, err := MakeSecretConnection(connB, identity(2))
		done <- victimResult{sc, err}
	}()

	a, err = MakeSecretConnection(connA, identity(1))
	r := <-done

	if err := errors.Join(err, r.err); err != nil {
		return nil, nil, errors.Join(err, connA.Close(), connB.Close())
	}

	return a, r.sc, nil
}

// pipePair returns two connections over net.Pipe without a handshake, which would
// need a buffered conn. Since net.Pipe has no buffer, deadlines cut frames anywhere.
func pipePair(t testing.TB) (a, b *SecretConnection) {
	t.Helper()

	connA, connB := net.Pipe()

	keysA, err := deriveKeys(repeated(5)[:], true)
	require.NoError(t, err)
	keysB, err := deriveKeys(repeated(5)[:], false)
	require.NoError(t, err)

	a, err = newSecretConnection(connA, newFrameReader(connA), &keysA)
	require.NoError(t, err)
	b, err = newSecretConnection(connB, newFrameReader(connB), &keysB)
	require.NoError(t, err)

	return a, b
}

func closeBoth(t testing.TB, a, b *SecretConnection) {
	t.Helper()

	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
}

func TestConnOverTCP(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b, err := connectTCP()
		if err != nil {
			return nil, nil, nil, err
		}

		return a, b, func() { closeBoth(t, a, b) }, nil
	})
}

func TestConnOverUnbufferedPipe(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := pipePair(t)

		return a, b, func() { closeBoth(t, a, b) }, nil
	})
}

func TestConnAddresses(t *testing.T) {
	a, b, err := connectTCP()
	require.NoError(t, err)

	defer closeBoth(t, a, b)

	require.Equal(t, a.LocalAddr(), b.RemoteAddr())
	require.Equal(t, b.LocalAddr(), a.RemoteAddr())
	require.Equal(t, "tcp", a.LocalAddr().Network())
}

// enterConn signals when a call is about to block in it.
type enterConn struct {
	net.Conn

	entered chan string
}

func (c *enterConn) Read(p []byte) (int, error) {
	c.entered <- "read"

	return c.Conn.Read(p)
}

func (c *enterConn) Write(p []byte) (int, error) {
	c.entered <- "write"

	return c.Conn.Write(p)
}

// TestConnCloseUnblocks closes a connection while a Read and a Write are blocked in
// the underlying conn, and another Write waits for the first one.
func TestConnCloseUnblocks(t *testing.T) {
	a, b := pipePair(t)
	conn := &enterConn{Conn: a.conn, entered: make(chan string, 3)}
	a.in.conn, a.out.conn = conn, conn

	type result struct {
		n   int
		err error
	}

	results := make(chan result, 3)

	go func() {
		n, err := a.Read(make([]byte, 10))
		results <- result{n, err}
	}()

	for range 2 {
		go func() {
			n, err := a.Write([]byte("never read"))
			results <- result{n, err}
		}()
	}

	require.ElementsMatch(t, []string{"read", "write"}, []string{<-conn.entered, <-conn.entered})
	closeBoth(t, a, b)

	for range 3 {
		r := <-results
		require.Zero(t, r.n)
		require.True(t, errors.Is(r.err, io.ErrClosedPipe) || errors.Is(r.err, net.ErrClosed), "%v", r.err)
	}

	_, err := a.Read(make([]byte, 10))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = a.Write([]byte("late"))
	require.ErrorIs(t, err, net.ErrClosed)
}

// closeCounter counts calls of Close, which fail.
type closeCounter struct {
	net.Conn

	closed int
	err    error
}

func (c *closeCounter) Close() error {
	c.closed++

	return errors.Join(c.err, c.Conn.Close())
}

func TestConnCloseIsIdempotent(t *testing.T) {
	a, b := pipePair(t)
	errClose := errors.New("close failed")
	conn := &closeCounter{Conn: a.conn, err: errClose}
	a.conn = conn

	for range 3 {
		require.ErrorIs(t, a.Close(), errClose)
	}

	require.Equal(t, 1, conn.closed)

	_, err := b.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	require.NoError(t, b.Close())
}

func TestConnCloseDropsBufferedData(t *testing.T) {
	a, b := connectMem(t, identity(1), identity(2))

	_, err := a.Write(pattern(100))
	require.NoError(t, err)

	_, err = b.Read(make([]byte, 10))
	require.NoError(t, err)
	require.NoError(t, b.Close())

	_, err = b.Read(make([]byte, 10))
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestConnConcurrentWriters(t *testing.T) {
	const writers, writes, size = 8, 20, 150_000

	a, b := pipePair(t)

	done := make(chan error, writers)

	for i := range writers {
		go func() {
			p := bytes.Repeat([]byte{byte(i)}, size)

			for range writes {
				if _, err := a.Write(p); err != nil {
					done <- err

					return
				}
			}

			done <- nil
		}()
	}

	counts := map[byte]int{}
	p := make([]byte, size)

	for range writers * writes {
		_, err := io.ReadFull(b, p)
		require.NoError(t, err)
		require.Equal(t, size, bytes.Count(p, p[:1])) // no bytes of another Write
		counts[p[0]]++
	}

	for range writers {
		require.NoError(t, <-done)
	}

	closeBoth(t, a, b)
	require.Len(t, counts, writers)

	for _, n := range counts {
		require.Equal(t, writes, n)
	}
}

// writeInSteps sends all of p although deadlines cut the writes.
func writeInSteps(sc *SecretConnection, p []byte) (cuts int, err error) {
	for len(p) > 0 {
		if err := sc.SetWriteDeadline(time.Now().Add(7 * time.Millisecond)); err != nil {
			return cuts, err
		}

		n, err := sc.Write(p)
		p = p[n:]

		if err == nil {
			continue
		}

		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return cuts, err
		}

		cuts++

		<-time.After(11 * time.Millisecond) // lets the reader wait
	}

	if err := sc.SetWriteDeadline(time.Time{}); err != nil {
		return cuts, err
	}

	_, err = sc.Write(nil) // the rest of a frame that was cut

	return cuts, err
}

// oddReader reads 777 bytes at a time, so that frames are cut anywhere.
type oddReader struct {
	io.Reader
}

func (o oddReader) Read(p []byte) (int, error) {
	return o.Reader.Read(p[:min(len(p), 777)])
}

// TestConnDeadlines checks that the stream arrives complete although deadlines
// interrupt both sides again and again.
func TestConnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipePair(t)
		b.in.conn = oddReader{b.conn}
		want := pattern(100_000)

		var cuts int

		done := make(chan error, 1)

		go func() {
			n, err := writeInSteps(a, want)
			cuts = n
			done <- err
		}()

		var got []byte

		p := make([]byte, 333)
		timeouts := 0

		for len(got) < len(want) {
			<-time.After(5 * time.Millisecond) // lets the writer wait
			require.NoError(t, b.SetReadDeadline(time.Now().Add(time.Millisecond)))

			n, err := b.Read(p)
			got = append(got, p[:n]...)

			if err != nil {
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)

				timeouts++
			}
		}

		require.NoError(t, <-done)
		closeBoth(t, a, b)
		require.Equal(t, want, got)
		require.Positive(t, cuts)
		require.Positive(t, timeouts)
		t.Logf("%d writes cut, %d reads timed out", cuts, timeouts)
	})
}

func TestConnCloseWriteEndsTheStream(t *testing.T) {
	a, b, err := connectTCP()
	require.NoError(t, err)

	defer closeBoth(t, a, b)

	_, err = a.Write([]byte("last"))
	require.NoError(t, err)
	require.NoError(t, a.CloseWrite())

	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "last", string(got))

	_, err = b.Write([]byte("still heard"))
	require.NoError(t, err)
	require.NoError(t, b.CloseWrite())

	got, err = io.ReadAll(a)
	require.NoError(t, err)
	require.Equal(t, "still heard", string(got))
}

func TestConnCloseWriteOverConnWithoutIt(t *testing.T) {
	a, b := pipePair(t)
	defer closeBoth(t, a, b)

	require.ErrorIs(t, a.CloseWrite(), errors.ErrUnsupported)
}
