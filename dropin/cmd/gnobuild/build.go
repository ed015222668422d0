package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// progressInterval is how often the packages that were compiled are shown.
const progressInterval = 5 * time.Second

// build builds the program from the work folder.
func (b *builder) build(ctx context.Context, tags []string) error {
	start := time.Now()
	flags := []string{
		"-mod=mod", "-overlay=overlay.json", "-trimpath", "-buildvcs=false", "-tags=" + strings.Join(tags, ","),
	}
	pkg := gnoModule + "/" + b.pkg
	b.say("finding the packages of %s (downloads those that the module cache lacks)", pkg)
	var listed strings.Builder
	list := b.command(ctx, append(append([]string{"list"}, flags...), "-deps", "-f",
		"{{.ImportPath}}{{if and .CgoFiles (not .Standard)}} cgo{{end}}", pkg)...)
	list.Stdout, list.Stderr = &listed, b.stderr
	if err := list.Run(); err != nil {
		return fmt.Errorf("unable to find the packages of %s: %w", pkg, err)
	}
	packages := strings.Split(strings.TrimSpace(listed.String()), "\n")
	if err := b.requireCompiler(ctx, packages); err != nil {
		return err
	}

	b.say("compiling up to %d packages; the first time takes some minutes", len(packages))
	version := b.gnoVersion + "+tm2-libp2p." + b.ours
	root := b.gnoDir
	if b.gnoRoot != "" {
		var err error
		if root, err = filepath.Abs(b.gnoRoot); err != nil {
			return err
		}
	}
	link := fmt.Sprintf("-ldflags=-X '%[1]s/tm2/pkg/version.Version=%[2]s' -X '%[1]s/gnovm/pkg/gnoenv._GNOROOT=%[3]s'", gnoModule, version, root)
	args := append(append([]string{"build", "-v"}, flags...), link, "-o", b.out, pkg)
	if err := b.compile(b.command(ctx, args...)); err != nil {
		return fmt.Errorf("unable to build %s: %w", pkg, err)
	}
	b.say("built %s in %s: version %s, default stack %s, dial %s; it stands under gno's licence, in %s", b.out,
		time.Since(start).Round(time.Second), version, b.stack, b.dial, b.gnoDir)

	return nil
}

// command returns a go command that runs in the work folder, with cgo.
func (b *builder) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.work
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=1")

	return cmd
}

// requireCompiler checks that there is a C compiler if a package needs one.
func (b *builder) requireCompiler(ctx context.Context, packages []string) error {
	var needs []string
	for _, line := range packages {
		if name, cgo := strings.CutSuffix(line, " cgo"); cgo {
			needs = append(needs, name)
		}
	}
	if len(needs) == 0 {
		return nil
	}
	compiler, err := output(ctx, "", "go", "env", "CC")
	if err != nil {
		return err
	}
	words := strings.Fields(compiler)
	if len(words) == 0 {
		return errors.New("go env CC is empty: set it to a C compiler, which gno needs for " + strings.Join(needs, ", "))
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		return fmt.Errorf("gno needs a C compiler for %s, and there is no %s: %s", strings.Join(needs, ", "), words[0], cure(runtime.GOOS))
	}

	return nil
}

// cure says how to get a C compiler.
func cure(system string) string {
	switch system {
	case "darwin":
		return "install one by `xcode-select --install`"
	case "windows":
		return "install one, such as MinGW-w64, and set CC to it"
	default:
		return "install one (Debian and Ubuntu: `apt-get install gcc libc6-dev`, Alpine: `apk add gcc musl-dev`, " +
			"Fedora: `dnf install gcc`), or set CC to yours"
	}
}

// compile runs go build -v, whose stderr has a line for each package that it compiles. It
// shows how many there were from time to time, and everything else at once.
func (b *builder) compile(cmd *exec.Cmd) error {
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = b.showProgress(stderr)

	return errors.Join(cmd.Wait(), err)
}

func (b *builder) showProgress(from io.Reader) error {
	shown, compiled := time.Now(), 0
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		line := lines.Text()
		if strings.ContainsAny(line, " :#") { // no path of a package
			b.say("%s", line)

			continue
		}
		compiled++
		if time.Since(shown) >= progressInterval {
			shown = time.Now()
			b.say("  %d packages compiled, now %s", compiled, line)
		}
	}

	return lines.Err()
}
