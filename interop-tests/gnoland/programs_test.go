package gnoland

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The programs, in the folder of the flag -bin.
const (
	stock  = "gnoland"      // as released
	ours   = "gnoland-ours" // built by gnobuild
	gnokey = "gnokey"
	bridge = "tm2bridge"
)

// gnoDir is the folder of gno's module.
var gnoDir string

// buildPrograms builds those programs that the folder lacks.
func buildPrograms(dir, gno string) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	text, err := exec.Command("go", "mod", "download", "-json", "github.com/gnolang/gno@"+gno).Output()
	if err != nil {
		return fmt.Errorf("unable to download gno %s: %w", gno, err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), `"Dir": "`); ok {
			gnoDir = strings.TrimSuffix(value, `",`)
		}
	}
	module, err := stockModule(gno)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(module) }() // a temporary folder; what is left is the system's
	for _, p := range []struct {
		name, dir, workspace string
		build                []string
	}{
		{stock, module, "off", []string{"build", "-mod=mod", "-trimpath", "-o", filepath.Join(dir, stock), "github.com/gnolang/gno/gno.land/cmd/gnoland"}},
		{gnokey, module, "off", []string{"build", "-mod=mod", "-trimpath", "-o", filepath.Join(dir, gnokey), "github.com/gnolang/gno/gno.land/cmd/gnokey"}},
		{ours, root, "", []string{"run", "./dropin/cmd/gnobuild", "-gno", gno, "-o", filepath.Join(dir, ours)}},
		{bridge, root, "", []string{"build", "-o", filepath.Join(dir, bridge), "./cmd/tm2bridge"}},
	} {
		if _, err := os.Stat(filepath.Join(dir, p.name)); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		cmd := exec.Command("go", p.build...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, os.Stderr, os.Stderr
		cmd.Env = append(os.Environ(), "GOWORK="+p.workspace)
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("unable to build %s: %w", p.name, err)
		}
	}

	return nil
}

// stockModule returns a temporary module that requires nothing but gno, so that the stock
// programs have the dependencies of the release.
func stockModule(gno string) (string, error) {
	dir, err := os.MkdirTemp("", "gnoland-stock-")
	if err != nil {
		return "", err
	}
	sums, err := os.ReadFile(filepath.Join(gnoDir, "go.sum"))
	if err != nil {
		return "", err
	}
	mod := "module stock\n\ngo 1.26.0\n\nrequire github.com/gnolang/gno " + gno + "\n"

	return dir, errors.Join(os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600),
		os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600))
}
