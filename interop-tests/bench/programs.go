package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/outside"
)

const (
	// packagePath is the import path of this folder.
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

// build compiles the programs into a temporary folder.
func build(ctx context.Context, names []string) (*programs, error) {
	dir, err := os.MkdirTemp("", "bench-*")
	if err != nil {
		return nil, err
	}
	p := &programs{dir: dir}
	for _, name := range names {
		if _, err := outside.Build(ctx, packagePath, name, dir); err != nil {
			return nil, errors.Join(err, p.remove())
		}
	}

	return p, nil
}

func (p *programs) remove() error { return os.RemoveAll(p.dir) }

// execute runs a case once, in a new process.
func (p *programs) execute(ctx context.Context, c source, window, warmup time.Duration) (metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, window+warmup+patience)
	defer cancel()
	out, err := outside.Output(exec.CommandContext(ctx, filepath.Join(p.dir, c.program),
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
