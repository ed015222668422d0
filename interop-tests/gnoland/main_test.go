package gnoland

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var (
	full   = flag.Bool("full", false, "build gnoland and run all tests")
	gno    = flag.String("gno", "v1.7.1", "release of gno")
	bin    = flag.String("bin", "", "folder for the programs, which are built only where they are missing (default: a temporary one)")
	logs   = flag.String("logs", "", "folder for the logs of the nodes (default: logs are not kept)")
	report = flag.String("report", "", "file for the report, in Markdown")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if !*full {
		return m.Run()
	}
	if *bin == "" {
		dir, err := os.MkdirTemp("", "gnoland-bin-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)

			return 1
		}
		defer func() { _ = os.RemoveAll(dir) }() // a temporary folder; what is left is the system's
		*bin = dir
	}
	for _, dir := range []*string{bin, logs, report} {
		if *dir == "" {
			continue
		}
		absolute, err := filepath.Abs(*dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)

			return 1
		}
		*dir = absolute
	}
	if err := buildPrograms(*bin, *gno); err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}
	code := m.Run()
	if *report != "" {
		if err := written.save(*report); err != nil {
			fmt.Fprintln(os.Stderr, err)

			return 1
		}
	}

	return code
}

// needsPrograms skips a test unless all of them are wanted.
func needsPrograms(t *testing.T) {
	t.Helper()
	if !*full {
		t.Skip("runs real gnoland processes: set -full")
	}
}
