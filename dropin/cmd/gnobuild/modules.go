package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// builder builds one program.
type builder struct {
	options
	gnoDir     string // of gno's module
	gnoVersion string // shown by the program
	ours       string // version of this project, shown by the program
	rootDir    string // of this project's module, or "" if a released one is used
	dropinDir  string
	work       string
	stderr     io.Writer
}

func (b *builder) say(format string, args ...any) { fmt.Fprintf(b.stderr, format+"\n", args...) }

// findModules finds gno, which is downloaded if the module cache lacks it, and this project.
func (b *builder) findModules(ctx context.Context) error {
	if err := b.findOurs(ctx); err != nil {
		return err
	}
	if b.dir == "" {
		return b.download(ctx)
	}
	dir, err := filepath.Abs(b.dir)
	if err != nil {
		return err
	}
	if err := isGno(ctx, dir); err != nil {
		return fmt.Errorf("%s is not the module %s: %w", dir, gnoModule, err)
	}
	b.gnoDir = dir
	// gno's own Makefile names a build in the same way.
	version, err := output(ctx, dir, "git", "describe", "--tags", "--exact-match")
	if err != nil {
		version, err = output(ctx, dir, "git", "rev-parse", "--short", "HEAD")
	}
	if err != nil {
		version = "local"
	}
	b.gnoVersion = version
	b.say("gno: %s, version %s", dir, version)

	return nil
}

// isGno returns nil if the folder is gno's module, also below a workspace that it is no part of.
func isGno(ctx context.Context, dir string) error {
	text, err := output(ctx, dir, "go", "mod", "edit", "-json", filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	var file struct{ Module struct{ Path string } }
	if err := json.Unmarshal([]byte(text), &file); err != nil {
		return err
	}
	if file.Module.Path != gnoModule {
		return fmt.Errorf("its go.mod names %q", file.Module.Path)
	}

	return nil
}

// download finds the release of gno by the go command.
func (b *builder) download(ctx context.Context) error {
	b.say("gno: %s %s (downloaded if the module cache lacks it)", gnoModule, b.gno)
	text, err := output(ctx, os.TempDir(), "go", "mod", "download", "-json", gnoModule+"@"+b.gno)
	var m struct{ Dir, Error string }
	if decoded := json.Unmarshal([]byte(text), &m); decoded != nil {
		return fmt.Errorf("unable to download gno %s: %w", b.gno, cmp.Or(err, decoded))
	}
	if m.Error != "" {
		return fmt.Errorf("unable to download gno %s: %s", b.gno, m.Error)
	}
	b.gnoDir, b.gnoVersion = m.Dir, b.gno

	return nil
}

// findOurs finds this project: the checkout in which the command runs, or the released
// version from which the command itself was built.
func (b *builder) findOurs(ctx context.Context) error {
	dirs, err := output(ctx, "", "go", "list", "-m", "-f", "{{.Dir}}", ourModule, dropinModule)
	if lines := strings.Split(dirs, "\n"); err == nil && len(lines) == 2 && lines[0] != "" && lines[1] != "" {
		b.rootDir, b.dropinDir = lines[0], lines[1]
		b.ours = "local"
		if revision, err := output(ctx, b.rootDir, "git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"); err == nil {
			b.ours = revision
		}
		b.say("tm2-libp2p: %s, revision %s", b.rootDir, b.ours)

		return nil
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path == dropinModule && strings.HasPrefix(info.Main.Version, "v") {
		b.ours = info.Main.Version
		b.say("tm2-libp2p: %s %s", dropinModule, b.ours)

		return nil
	}

	return errors.New("run gnobuild in a checkout of tm2-libp2p, as `go run ./dropin/cmd/gnobuild`")
}

// output returns what a command writes, without the space around it. An error has what it
// writes to stderr.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	text, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}

	return string(bytes.TrimSpace(text)), err
}
