package harness

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// inheritedFile is the descriptor of the counter file in a process of leaves.
const inheritedFile = 3

// counter fills a cache line, so that counters do not share one.
type counter struct {
	atomic.Int64
	_ [56]byte
}

// counters are shared with another process.
type counters []counter

// least returns the smallest of at least one counter.
func (c counters) least() int64 {
	least := c[0].Load()
	for i := range c {
		least = min(least, c[i].Load())
	}

	return least
}

func (c counters) sum() int64 {
	var sum int64
	for i := range c {
		sum += c[i].Load()
	}

	return sum
}

// newCounterFile returns a file without a name, which the system removes when it is closed.
func newCounterFile() (*os.File, error) {
	f, err := os.CreateTemp("", "bench-counters-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}

	return f, nil
}

// mapCounters maps n counters at the start of a file. They stay mapped until the process
// ends.
func mapCounters(f *os.File, n int) (counters, error) {
	size := n * int(unsafe.Sizeof(counter{}))
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	m, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map counters: %w", err)
	}

	return unsafe.Slice((*counter)(unsafe.Pointer(&m[0])), n), nil
}
