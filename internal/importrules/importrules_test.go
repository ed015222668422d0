package importrules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const module = "github.com/tm2-libp2p/tm2-libp2p/"

type allowance struct {
	of  string
	may []string
	why string
}

type reach struct {
	what string
	by   []string
	why  string
}

// listed is a package as go list describes it.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
	Deps                               []string // all that Imports reach
}

// TestImportRules checks the packages of all modules of the workspace.
func TestImportRules(t *testing.T) {
	packages := list(t)
	require.Greater(t, len(packages), 40, "go list left packages out")
	require.Empty(t, judge(packages), "see internal/importrules/rules_test.go")

	for _, rule := range allowances {
		require.True(t, slices.ContainsFunc(packages, func(p listed) bool { return fits(rule.of, below(p.ImportPath)) }),
			"no package fits the rule of %s", rule.of)
	}
}

// TestJudge shows that each kind of violation is found, and nothing else.
func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		of   listed
		says []string
	}{
		"nothing": {of: listed{ImportPath: "compat"}},
		"what may be": {of: listed{ImportPath: "adapter/lp2p/discovery",
			Imports: []string{"fmt", "adapter/lp2p", "compat/types"}, Deps: []string{"adapter/lp2p", "github.com/libp2p/go-libp2p/core"}}},
		"tests may import more": {of: listed{ImportPath: "adapter",
			TestImports: []string{"compat/compattest"}, XTestImports: []string{"adapter/native", "adapter/internal/switchtest"}}},
		"a suite may import another": {of: listed{ImportPath: "adapter/internal/switchtest",
			Imports: []string{"compat/compattest"}}},
		"a stack in the switch": {of: listed{ImportPath: "adapter", Imports: []string{"adapter/native"},
			Deps: []string{"adapter/native"}},
			says: []string{"adapter imports adapter/native", "adapter depends on adapter/native"}},
		"the whole in its part": {of: listed{ImportPath: "adapter/lp2p/internal/stream", Imports: []string{"adapter/lp2p"}},
			says: []string{"adapter/lp2p/internal/stream imports adapter/lp2p"}},
		"upwards from the ground floor": {of: listed{ImportPath: "internal/wire", Imports: []string{"compat/types"}},
			says: []string{"internal/wire imports compat/types"}},
		"the ground floor where its rule is stricter": {of: listed{ImportPath: "internal/sniff", Imports: []string{"internal/wire"}},
			says: []string{"internal/sniff imports internal/wire"}},
		"a suite outside tests": {of: listed{ImportPath: "bridge", Imports: []string{"compat/compattest/memory"}},
			says: []string{"bridge imports compat/compattest/memory"}},
		"a program in a test": {of: listed{ImportPath: "bridge", XTestImports: []string{"cmd/internal/probe"}},
			says: []string{"a test of bridge imports cmd/internal/probe"}},
		"libp2p below the native stack": {of: listed{ImportPath: "mconn", Deps: []string{"github.com/libp2p/go-buffer-pool"}},
			says: []string{"mconn depends on github.com/libp2p/go-buffer-pool"}},
		"a package without a rule": {of: listed{ImportPath: "gossip"},
			says: []string{"gossip has no rule"}},
	} {
		t.Run(name, func(t *testing.T) {
			found := judge([]listed{full(test.of)})
			require.Len(t, found, len(test.says), "%q", found)
			for i, says := range test.says {
				require.Contains(t, found[i], says)
			}
		})
	}
}

// judge returns a sentence for each violation of the rules.
func judge(packages []listed) []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for _, p := range packages {
		name := below(p.ImportPath)
		rule, ok := ruleOf(name)
		if !ok {
			say("%s has no rule: add one", name)
			continue
		}
		for _, imported := range ours(p.Imports) {
			switch {
			case !fitsAny(rule.may, imported):
				say("%s imports %s, but %s", name, imported, rule.why)
			case forTests(imported) && !forTests(name):
				say("%s imports %s, but only tests import packages for tests", name, imported)
			}
		}
		for _, imported := range ours(slices.Concat(p.TestImports, p.XTestImports)) {
			if fits("cmd/...", imported) && !fits("cmd/...", name) {
				say("a test of %s imports %s, but nobody imports a program", name, imported)
			}
		}
		for _, r := range reaches {
			i := slices.IndexFunc(p.Deps, func(dep string) bool { return fits(r.what, below(dep)) })
			if i >= 0 && !fitsAny(r.by, name) {
				say("%s depends on %s, but %s", name, below(p.Deps[i]), r.why)
			}
		}
	}

	return found
}

// ruleOf returns the longest pattern that fits the package.
func ruleOf(name string) (rule allowance, ok bool) {
	for _, r := range allowances {
		if fits(r.of, name) && len(r.of) > len(rule.of) {
			rule, ok = r, true
		}
	}

	return rule, ok
}

// forTests reports whether the package, or one that it is below, has a name that ends
// in test. All of interop-tests is for tests.
func forTests(name string) bool {
	elements := strings.Split(name, "/")

	return elements[0] == "interop-tests" ||
		slices.ContainsFunc(elements, func(e string) bool { return strings.HasSuffix(e, "test") })
}

func fits(pattern, name string) bool {
	parent, isTree := strings.CutSuffix(pattern, "...")
	if !isTree {
		return name == pattern
	}

	return parent == "" || strings.HasPrefix(name+"/", parent)
}

func fitsAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return fits(p, name) })
}

// below returns the path of a package below the module path, and other paths as they are.
func below(path string) string { return strings.TrimPrefix(path, module) }

// ours returns which of the paths are packages of this repository, below the module path.
func ours(paths []string) []string {
	var names []string
	for _, path := range paths {
		if name, ok := strings.CutPrefix(path, module); ok {
			names = append(names, name)
		}
	}

	return names
}

// full puts the module path before the names of this repository's packages.
func full(p listed) listed {
	prefix := func(names []string) []string {
		names = slices.Clone(names)
		for i, name := range names {
			if _, ok := ruleOf(name); ok {
				names[i] = module + name
			}
		}

		return names
	}
	p.ImportPath = module + p.ImportPath
	p.Imports, p.TestImports = prefix(p.Imports), prefix(p.TestImports)
	p.XTestImports, p.Deps = prefix(p.XTestImports), prefix(p.Deps)

	return p
}

// list returns the packages of all modules of the workspace.
func list(t *testing.T) []listed {
	t.Helper()
	root := filepath.Join("..", "..")
	watch(t, root)

	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps",
		"./...", "./dropin/...", "./interop-tests/...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())

	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		require.NoError(t, err)
		packages = append(packages, p)
	}
}

// watch reads every folder below root. The go command keeps the result of a test until
// a file changes that the test has read itself, and does not see what go list reads.
func watch(t *testing.T, root string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == ".git" {
			return filepath.SkipDir
		}

		return err
	}))
}
