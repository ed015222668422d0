package native

import (
	"bytes"
	"io"
	"syscall"
	"time"
)

// fault makes one direction of a connection misbehave. It is installed before
// anything is sent.
type fault struct {
	name    string
	install func(s *stream)
}

// after lets the first n bytes through and calls then for the one that follows.
// All the rest is lost.
func after(n int, then func(s *stream)) func(s *stream) {
	return func(s *stream) {
		s.filter = func(b []byte) []byte {
			b = b[:min(len(b), n)]
			n -= len(b)
			if n == 0 && then != nil {
				then(s)
				then = nil
			}

			return b
		}
	}
}

// truncated ends the stream after n bytes.
func truncated(n int) fault {
	return fault{"truncated", after(n, func(s *stream) { s.readErr = io.EOF })}
}

// reset breaks the connection after n bytes.
func reset(n int) fault {
	return fault{"reset", after(n, func(s *stream) { s.readErr = syscall.ECONNRESET })}
}

// stalled delivers n bytes and then nothing, for ever.
func stalled(n int) fault { return fault{"stalled", after(n, nil)} }

// dripping delivers one byte at a time.
func dripping(interval time.Duration) fault {
	return fault{"dripping", func(s *stream) { s.interval = interval }}
}

// flipped alters one bit of the stream.
func flipped(bit int) fault {
	return fault{"flipped", func(s *stream) {
		at := 0
		s.filter = func(b []byte) []byte {
			b = bytes.Clone(b)
			if i := bit/8 - at; i >= 0 && i < len(b) {
				b[i] ^= 1 << (bit % 8)
			}
			at += len(b)

			return b
		}
	}}
}

// byUnits passes whole units to change, numbered from 0: the ephemeral message,
// then one frame each. change returns the units to deliver instead.
func byUnits(change func(i int, unit []byte) []byte) func(s *stream) {
	return func(s *stream) {
		var begun []byte
		i := 0
		s.filter = func(b []byte) (out []byte) {
			begun = append(begun, b...)
			for {
				size := frameSize
				if i == 0 {
					size = ephemeralSize
				}
				if len(begun) < size {
					return out
				}
				out = append(out, change(i, bytes.Clone(begun[:size]))...)
				begun = begun[size:]
				i++
			}
		}
	}
}

// replayed delivers unit k twice.
func replayed(k int) fault {
	return fault{"replayed", byUnits(func(i int, unit []byte) []byte {
		if i == k {
			unit = append(unit, unit...)
		}

		return unit
	})}
}

// reordered delivers unit k after the one that follows.
func reordered(k int) fault {
	var held []byte

	return fault{"reordered", byUnits(func(i int, unit []byte) []byte {
		switch i {
		case k:
			held = unit

			return nil
		case k + 1:
			return append(unit, held...)
		default:
			return unit
		}
	})}
}

// lost loses unit k.
func lost(k int) fault {
	return fault{"lost", byUnits(func(i int, unit []byte) []byte {
		if i == k {
			return nil
		}

		return unit
	})}
}
