package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/dropin/cmd/gnobuild/internal/edit"
)

// full is set by GNOBUILD_FULL=1. Tests that need it build whole programs of gno.
var full = os.Getenv("GNOBUILD_FULL") != ""

func TestPrint(t *testing.T) {
	out := filepath.Join(t.TempDir(), "gnoland")
	var stdout, stderr bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-print", "-stack", "native", "-o", out}, &stdout, &stderr))
	require.Contains(t, stdout.String(), "+	sw, err := dropin.NewConfiguredSwitch(")
	require.Regexp(t, `(?m)^\+\s+Stack:\s+"native",$`, stdout.String())
	require.Contains(t, stderr.String(), "gno: github.com/gnolang/gno v1.7.1")
	require.NoFileExists(t, out)
}

func TestArguments(t *testing.T) {
	for want, args := range map[string][]string{
		"v9.9.9 was not tried":                     {"-gno", "v9.9.9"},
		`"more" is not a flag`:                     {"more"},
		"[p2p].stack = \"fast\"":                   {"-stack", "fast"},
		"[p2p].dial = \"all\"":                     {"-dial", "all"},
		"is not the module github.com/gnolang/gno": {"-dir", ".", "-print"},
		"provided but not defined":                 {"-unknown"},
	} {
		var stderr bytes.Buffer
		require.ErrorContains(t, run(t.Context(), args, &stderr, &stderr), want)
	}
}

func TestOutput(t *testing.T) {
	o, err := parseFlags([]string{"-pkg", "github.com/gnolang/gno/gno.land/cmd/gnokey"}, &bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, "gno.land/cmd/gnokey", o.pkg)
	require.Equal(t, "gnokey", filepath.Base(o.out))
	require.True(t, filepath.IsAbs(o.out))
}

// TestNoCompiler checks that a missing C compiler is named, with its cure.
func TestNoCompiler(t *testing.T) {
	t.Setenv("CC", "no-such-compiler -O2")
	b := &builder{}
	require.NoError(t, b.requireCompiler(t.Context(), []string{"fmt", "net"}))
	err := b.requireCompiler(t.Context(), []string{"fmt", "example.com/db cgo"})
	require.ErrorContains(t, err, "gno needs a C compiler for example.com/db, and there is no no-such-compiler: install one")
	for _, system := range []string{"linux", "darwin", "windows"} {
		require.Contains(t, cure(system), "install one")
	}
}

// TestProgress checks that messages of the go command are shown, and names of packages only
// from time to time.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		var shown bytes.Buffer
		b := &builder{stderr: &shown}
		require.NoError(t, b.showProgress(strings.NewReader(
			"runtime\nexample.com/a\n# example.com/b\n./b.go:1:2: undefined: x\ngo: downloading example.com/c v1.0.0\n")))
		require.Equal(t, "# example.com/b\n./b.go:1:2: undefined: x\ngo: downloading example.com/c v1.0.0\n", shown.String())
	})
}

// TestDirectory changes a checkout of gno that lies below somebody's workspace, and refuses one whose node has an option that our
// switch would not have.
func TestDirectory(t *testing.T) {
	o, err := parseFlags(nil, &bytes.Buffer{})
	require.NoError(t, err)
	b := &builder{options: *o, stderr: t.Output()}
	require.NoError(t, b.findModules(t.Context()))
	workspace := t.TempDir()
	dir := filepath.Join(workspace, "gno")
	for name, text := range map[string]string{
		"go.work": "go 1.26.0\n\nuse ./other\n", "other/go.mod": "module example.com/other\n", "gno/go.mod": "module " + gnoModule + "\n",
	} {
		name = filepath.Join(workspace, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	for _, name := range []string{edit.NodeFile, edit.ConfigFile, edit.AddressFile, edit.TypesFile} {
		text, err := os.ReadFile(filepath.Join(b.gnoDir, name))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	var shown bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-dir", dir, "-print"}, &shown, t.Output()))
	require.Contains(t, shown.String(), "+	sw, err := dropin.NewConfiguredSwitch(")

	node := filepath.Join(dir, edit.NodeFile)
	text, err := os.ReadFile(node)
	require.NoError(t, err)
	changed := strings.Replace(string(text), "p2p.WithSeeds(seedAddrs),", "p2p.WithSeeds(seedAddrs), p2p.WithOurOwn(),", 1)
	require.NoError(t, os.WriteFile(node, []byte(changed), 0o600))
	err = run(t.Context(), []string{"-dir", dir, "-print"}, &shown, t.Output())
	require.ErrorIs(t, err, edit.ErrMismatch)
	require.ErrorContains(t, err, edit.NodeFile+":")
}

// TestOutsideOfACheckout checks what a command says that does not find this project, and
// which module it makes when it was built from a release.
func TestOutsideOfACheckout(t *testing.T) {
	t.Chdir(t.TempDir())
	b := &builder{stderr: t.Output()}
	require.ErrorContains(t, b.findOurs(t.Context()), "run gnobuild in a checkout of tm2-libp2p")

	b = &builder{options: options{gno: "v1.7.1"}, ours: "v0.1.0"}
	require.Contains(t, b.goMod(), "require "+dropinModule+" v0.1.0\n")
	require.Equal(t, 1, strings.Count(b.goMod(), "replace "), "only gno is replaced")
}

// TestPatchedNodeCompiles compiles the node of the newest release with the change, and of
// all releases with GNOBUILD_FULL=1.
func TestPatchedNodeCompiles(t *testing.T) {
	releases := supported
	if !full {
		releases = supported[:1]
	}
	for _, gno := range releases {
		t.Run(gno, func(t *testing.T) {
			o, err := parseFlags([]string{"-gno", gno}, &bytes.Buffer{})
			require.NoError(t, err)
			b := &builder{options: *o, stderr: t.Output(), work: t.TempDir()}
			require.NoError(t, b.findModules(t.Context()))
			p, err := newPatch(b.gnoDir, b.config())
			require.NoError(t, err)
			require.NoError(t, b.prepare(p))
			moveModules(t, b)
			// Without -trimpath the packages that do not belong to gno are in the build cache of other tests.
			text, err := b.command(t.Context(), "build", "-mod=mod", "-overlay=overlay.json", "-tags="+strings.Join(p.tags, ","),
				gnoModule+"/tm2/pkg/bft/node").CombinedOutput()
			require.NoError(t, err, "%s", text)
		})
	}
}

// moveModules has the build read gno through a link that is the same in every run, and this project
// in its own folder, so that the build cache knows what was compiled before. The name of each file
// is part of what it compares.
func moveModules(t *testing.T, b *builder) {
	t.Helper()
	sum := sha256.Sum256([]byte(b.gnoDir))
	cache, err := os.UserCacheDir() // where nobody else may write
	require.NoError(t, err)
	link := filepath.Join(cache, "tm2-libp2p", fmt.Sprintf("gno-%x", sum[:8]))
	require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o700))
	if err := os.Symlink(b.gnoDir, link); !errors.Is(err, fs.ErrExist) {
		require.NoError(t, err)
	}
	target, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, b.gnoDir, target)

	change(t, b, "go.mod", "=> ./gno\n", "=> "+strconv.Quote(link)+"\n")
	change(t, b, "go.mod", "=> ./tm2-libp2p\n", "=> "+strconv.Quote(b.rootDir)+"\n")
	change(t, b, "go.mod", "=> ./dropin\n", "=> "+strconv.Quote(b.dropinDir)+"\n")
	change(t, b, "overlay.json", `"gno/`, `"`+link+"/")
}

// change replaces from by to in a file that the builder has written, and fails if it is not there.
func change(t *testing.T, b *builder, name, from, to string) {
	t.Helper()
	written, err := os.ReadFile(filepath.Join(b.work, name))
	require.NoError(t, err)
	require.Contains(t, string(written), from)
	require.NoError(t, b.write(name, bytes.ReplaceAll(written, []byte(from), []byte(to))))
}

// TestBuild builds gnoland of each release twice, from different folders.
func TestBuild(t *testing.T) {
	if !full {
		t.Skip("builds gnoland of four releases: set GNOBUILD_FULL=1")
	}
	for _, gno := range supported {
		t.Run(gno, func(t *testing.T) {
			var built [2][]byte
			for i := range built {
				out := filepath.Join(t.TempDir(), "gnoland")
				require.NoError(t, run(t.Context(), []string{"-gno", gno, "-o", out}, t.Output(), t.Output()))
				var err error
				built[i], err = os.ReadFile(out)
				require.NoError(t, err)
				require.True(t, bytes.Contains(built[i], []byte(gno+"+tm2-libp2p.")), "both versions are compiled in")
				if gno == "v1.1.0" { // its gnoland has no command that shows a version
					continue
				}
				version, err := exec.CommandContext(t.Context(), out, "version").CombinedOutput()
				require.NoError(t, err)
				require.Regexp(t, `^gnoland version: `+strings.ReplaceAll(gno, ".", `\.`)+`\+tm2-libp2p\.[0-9a-z-]+\n$`, string(version))
			}
			require.True(t, bytes.Equal(built[0], built[1]), "two builds are equal")
		})
	}
}
