package stacktest

import (
	"bytes"
	"strings"
	"sync"
)

// Log is a writer that can be read while it is written. The zero value is empty. All methods
// may be called concurrently.
type Log struct {
	mtx sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mtx.Lock()
	defer l.mtx.Unlock()

	return l.buf.Write(p)
}

// String returns what was written so far.
func (l *Log) String() string {
	l.mtx.Lock()
	defer l.mtx.Unlock()

	return l.buf.String()
}

// Count returns how often the text was written.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }
