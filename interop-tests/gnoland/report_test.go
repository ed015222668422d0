package gnoland

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// written is the report of this run.
var written markdown

// markdown collects what tests have measured. Tests do not run in parallel.
type markdown struct{ sections []string }

// table adds a section with a table.
func (m *markdown) table(title, text string, head []string, rows [][]string) {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n| %s |\n|%s\n", title, text, strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	m.sections = append(m.sections, b.String())
}

// save writes the report to a file.
func (m *markdown) save(file string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Real gnoland nodes\n\nMade by `interop-tests/gnoland` on %s, %s/%s, %d cores.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	for _, program := range []string{stock, ours} {
		cmd := exec.Command(filepath.Join(*bin, program), "version")
		cmd.Env = append(os.Environ(), "GNOROOT="+gnoDir)
		version, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s version: %w", program, err)
		}
		fmt.Fprintf(&b, "* `%s`: gno %s, %s\n", program, *gno, bytes.TrimSpace(version))
	}
	for _, s := range m.sections {
		fmt.Fprintf(&b, "\n%s", s)
	}

	return os.WriteFile(file, b.Bytes(), 0o644)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// rate returns how many blocks a second a node makes during an interval.
func (n *node) rate(t *testing.T, during time.Duration) float64 {
	t.Helper()
	first, start := n.height(), time.Now()
	n.waitHeight(t, first+1) // begin at a block
	first, start = n.height(), time.Now()
	n.waitUntil(t, "time", func() bool { return time.Since(start) >= during })

	return float64(n.height()-first) / time.Since(start).Seconds()
}

// longestGap returns the longest time between two blocks, by the times at which the validators
// made them, from one height to another.
func (n *node) longestGap(t *testing.T, from, to int) (longest time.Duration) {
	t.Helper()
	former := n.block(t, from).Meta.Header.Time
	for height := from + 1; height <= to; height++ {
		at := n.block(t, height).Meta.Header.Time
		longest, former = max(longest, at.Sub(former)), at
	}

	return longest
}
