package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// packagePath is the import path of this folder. With it, go list finds the folder from
	// any directory of the workspace.
	packagePath = "github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench"

	// patience is how long one run may take in addition to its window and warm-up.
	patience = 90 * time.Second
)

// source is one case of one program.
type source struct {
	program string // folder and name of the binary
	name    string // STACK/CASE
}

// metrics holds the metrics of a run by name.
type metrics map[string]float64

// programs are the built binaries.
type programs struct{ dir string }

// build compiles the programs into a temporary folder. Each is a module outside the
// workspace, since their dependencies conflict.
func build(ctx context.Context, names []string) (_ *programs, err error) {
	root, err := output(exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", packagePath))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-*")
	if err != nil {
		return nil, err
	}
	p := &programs{dir: dir}
	for _, name := range names {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), ".")
		cmd.Dir = filepath.Join(strings.TrimSpace(string(root)), name)
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if _, err := output(cmd); err != nil {
			return nil, errors.Join(fmt.Errorf("build %s: %w", name, err), p.remove())
		}
	}

	return p, nil
}

func (p *programs) remove() error { return os.RemoveAll(p.dir) }

// execute runs a case once, in a new process.
func (p *programs) execute(ctx context.Context, c source, window, warmup time.Duration) (metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, window+warmup+patience)
	defer cancel()
	out, err := output(exec.CommandContext(ctx, filepath.Join(p.dir, c.program),
		"-window", window.String(), "-warmup", warmup.String(), c.name))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.program, c.name, err)
	}
	var found metrics
	if err := json.Unmarshal(out, &found); err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.program, c.name, err)
	}

	return found, nil
}

// output returns the standard output of a command. Its error includes the standard error.
func output(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}

	return out, nil
}
