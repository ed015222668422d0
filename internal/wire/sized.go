package wire

import (
	"fmt"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// maxVarintLen is the length of the longest varint of 64 bits.
	maxVarintLen = 10

	// firstChunk is the most bytes allocated before any byte of the body arrives.
	firstChunk = 4096

	// maxEmptyReads is how many reads in a row may return neither data nor an
	// error before reading fails with io.ErrNoProgress.
	maxEmptyReads = 100
)

// AppendSized appends body with its varint length in front (docs/wire.md §2).
func AppendSized(dst, body []byte) []byte {
	return protowire.AppendBytes(dst, body)
}

// ReadSized reads one sized message from r and returns its body, which the
// caller owns. It never reads past the message. max is the limit in bytes for
// prefix and body together.
//
// The prefix is read byte by byte, so r should be buffered. The buffer grows
// while the body arrives: beyond 4 KiB it is at most twice as large as the part
// that has arrived.
//
// Errors: io.EOF when r ends before the first byte, io.ErrUnexpectedEOF when it
// ends later, [ErrTooLarge] (wrapped) when the announced size exceeds max,
// [*DecodeError] for a prefix above 64 bits, io.ErrNoProgress when 100 reads in a
// row return neither data nor an error, else the error of r.
func ReadSized(r io.Reader, max int) ([]byte, error) {
	size, prefixLen, err := readPrefix(r)
	if err != nil {
		return nil, err
	}

	if max < prefixLen || size > uint64(max-prefixLen) {
		return nil, fmt.Errorf("%w: body of %d bytes announced, limit %d", ErrTooLarge, size, max)
	}

	return readBody(r, int(size))
}

// readPrefix reads the varint in front of a sized message and returns its value
// and the number of bytes it took.
func readPrefix(r io.Reader) (size uint64, n int, err error) {
	var buf [maxVarintLen]byte

	for n < maxVarintLen {
		if _, err := ReadSome(r, buf[n:n+1]); err != nil {
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}

			return 0, n, err
		}

		n++

		if buf[n-1] < 0x80 {
			break
		}
	}

	size, used := protowire.ConsumeVarint(buf[:n])
	if used < 0 {
		return 0, n, &DecodeError{Message: "sized message", Field: "length prefix", Reason: "above 64 bits"}
	}

	return size, n, nil
}

func readBody(r io.Reader, size int) ([]byte, error) {
	body := make([]byte, 0, min(size, firstChunk))

	for len(body) < size {
		if len(body) == cap(body) {
			body = slices.Grow(body, min(size-len(body), len(body)))
		}

		n, err := ReadSome(r, body[len(body):min(size, cap(body))])
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}

		if err != nil {
			return nil, err
		}

		body = body[:len(body)+n]
	}

	return body, nil
}

// ReadSome reads at least one byte into the non-empty p, or returns an error:
// io.ErrNoProgress when 100 reads in a row return neither, else that of r. It ignores
// an error that comes together with data, which the next read of r returns again.
func ReadSome(r io.Reader, p []byte) (int, error) {
	for range maxEmptyReads {
		n, err := r.Read(p)
		if n > 0 {
			return n, nil
		}

		if err != nil {
			return 0, err
		}
	}

	return 0, io.ErrNoProgress
}
