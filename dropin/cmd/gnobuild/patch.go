package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/dropin/cmd/gnobuild/internal/edit"
)

// patch is the change of one gno.
type patch struct {
	files []patchedFile
	tags  []string // build tags of package dropin
}

type patchedFile struct {
	name          string // relative to the module
	former, after []byte
}

// newPatch edits the files of the gno in a folder, without writing any.
func newPatch(dir string, defaults *config.P2PConfig) (*patch, error) {
	p := &patch{}
	edits := []struct {
		name string
		edit func(*edit.Source) error
	}{
		{edit.NodeFile, edit.Node},
		{edit.ConfigFile, func(s *edit.Source) error { return edit.Config(s, *defaults) }},
	}
	for _, e := range edits {
		source, text, err := read(dir, e.name)
		if err != nil {
			return nil, err
		}
		if err := e.edit(source); err != nil {
			return nil, err
		}
		after, err := source.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		p.files = append(p.files, patchedFile{e.name, text, after})
	}
	address, _, err := read(dir, edit.AddressFile)
	if err != nil {
		return nil, err
	}
	types, _, err := read(dir, edit.TypesFile)
	if err != nil {
		return nil, err
	}
	p.tags, err = edit.Tags(address, types)

	return p, err
}

func read(dir, name string) (*edit.Source, []byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, nil, fmt.Errorf("unable to read gno: %w", err)
	}
	source, err := edit.Parse(name, text)

	return source, text, err
}

// diff returns the change in the unified format.
func (p *patch) diff() string {
	var b strings.Builder
	for _, f := range p.files {
		b.WriteString(unifiedDiff(f.name, string(f.former), string(f.after)))
	}

	return b.String()
}
