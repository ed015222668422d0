package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2net/internal/crawl"
)

const (
	// maxLine bounds a line of the file, in bytes: a summary has at most 60 kinds with names
	// of 128 bytes, which JSON may escape.
	maxLine = 128 << 10
	// maxLines is ten years of a crawl every ten minutes, rounded up.
	maxLines = 600_000
)

// ErrEmpty is wrapped by Read's error about a file without a summary.
var ErrEmpty = errors.New("there is no summary in it")

// Append adds a summary to the file, which it makes if there is none. A line that a crash has
// cut is ended first.
func Append(path string, s crawl.Summary) (err error) {
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return err
	}

	return f.Sync()
}

// Read returns the summaries of a file in its order, and a warning for each line that is none,
// such as one that a crash has cut.
func Read(path string) (list []crawl.Summary, warnings []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 4096), maxLine)
	for number := 1; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if len(list) == maxLines {
			return nil, nil, fmt.Errorf("%s has more than %d summaries", path, maxLines)
		}
		var s crawl.Summary
		switch err := json.Unmarshal(lines.Bytes(), &s); {
		case err != nil:
			warnings = append(warnings, fmt.Sprintf("%s, line %d is passed over: %v", path, number, err))
		case s.Schema != crawl.Schema:
			return nil, nil, fmt.Errorf("%s, line %d has schema %d, this program reads %d", path, number, s.Schema, crawl.Schema)
		default:
			list = append(list, s)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(list) == 0 {
		return nil, warnings, fmt.Errorf("%s: %w", path, ErrEmpty)
	}

	return list, warnings, nil
}

// Network takes the summaries of one network. If name is empty, it is that of the last
// summary. The others are counted.
func Network(list []crawl.Summary, name string) (of []crawl.Summary, others int) {
	if name == "" && len(list) > 0 {
		name = list[len(list)-1].Network
	}
	for _, s := range list {
		if s.Network == name {
			of = append(of, s)
		}
	}

	return of, len(list) - len(of)
}

// Thin returns at most n summaries, evenly chosen, with the first and the last.
func Thin(list []crawl.Summary, n int) []crawl.Summary {
	if n < 2 || len(list) <= n {
		return list
	}
	thin := make([]crawl.Summary, 0, n)
	for i := range n {
		thin = append(thin, list[i*(len(list)-1)/(n-1)])
	}

	return thin
}
