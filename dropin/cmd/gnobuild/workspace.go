package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// noVersion stands for a module that is replaced by a folder.
const noVersion = "v0.0.0-00010101000000-000000000000"

// prepare writes a module to the work folder that has gno and this project, with the overlay
// of the patch. All paths are relative, so that the program does not depend on the folder.
func (b *builder) prepare(p *patch) error {
	// The go command refuses an overlay of files in the module cache. A link is not in it.
	links := map[string]string{"gno": b.gnoDir}
	sums := []string{filepath.Join(b.gnoDir, "go.sum")}
	if b.rootDir != "" {
		links["tm2-libp2p"], links["dropin"] = b.rootDir, b.dropinDir
		sums = append(sums, filepath.Join(b.rootDir, "go.sum"), filepath.Join(b.dropinDir, "go.sum"))
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(b.work, name)); err != nil {
			return fmt.Errorf("unable to link a module: %w", err)
		}
	}
	if err := b.writeOverlay(p); err != nil {
		return err
	}
	if err := b.write("go.mod", []byte(b.goMod())); err != nil {
		return err
	}
	var sum bytes.Buffer
	for _, name := range sums {
		text, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		sum.Write(text)
	}

	return b.write("go.sum", sum.Bytes())
}

func (b *builder) writeOverlay(p *patch) error {
	replace := make(map[string]string)
	for _, f := range p.files {
		after := path.Join("patched", strings.ReplaceAll(f.name, "/", "_"))
		replace[path.Join("gno", f.name)] = after
		if err := b.write(after, f.after); err != nil {
			return err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}

	return b.write("overlay.json", overlay)
}

// write writes a file of the work folder.
func (b *builder) write(name string, text []byte) error {
	name = filepath.Join(b.work, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}

	return os.WriteFile(name, text, 0o600)
}

// goMod returns the module that requires gno and this project. The go command completes it.
func (b *builder) goMod() string {
	gno, ours := noVersion, b.ours
	if b.dir == "" {
		gno = b.gno
	}
	replaced := fmt.Sprintf("replace %s => ./gno\n", gnoModule)
	if b.rootDir != "" {
		ours = noVersion
		replaced += fmt.Sprintf("replace %s => ./tm2-libp2p\nreplace %s => ./dropin\n", ourModule, dropinModule)
	}
	required := fmt.Sprintf("require %s %s\nrequire %s %s\n", gnoModule, gno, dropinModule, ours)
	if b.rootDir != "" {
		required += fmt.Sprintf("require %s %s\n", ourModule, ours)
	}

	return "module gnobuild\n\ngo 1.26.0\n\n" + required + "\n" + replaced
}
