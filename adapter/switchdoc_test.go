package adapter_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const switchPage = "../docs/switch.md"

// testName is how the page names a test: a promise of a suite, or a folder of the
// repository and a test in it.
const testName = "`(TestSwitch|TestTransport)/([A-Za-z0-9/]+)`|`([a-z0-9/-]+)/(Test[A-Za-z0-9_]+)`"

var (
	namedTests = regexp.MustCompile(testName)
	proofs     = regexp.MustCompile("^(" + testName + ")(, (" + testName + "))*$")
)

// suiteFiles are the files of compat/compattest in which a suite has its promises.
var suiteFiles = map[string][]string{
	"TestSwitch":    {"switch*.go"},
	"TestTransport": {"transport_suite*.go", "peerconn_suite*.go"},
}

// Every row of the page names a test, and every test that the page names exists:
// no statement outlives its proof.
func TestSwitchPageNamesItsTests(t *testing.T) {
	data, err := os.ReadFile(switchPage)
	require.NoError(t, err)
	require.Positive(t, checkRows(t, string(data)))
	checkNames(t, string(data))
}

// Every row about a threat names a test, and every test that the page names exists.
func TestSecurityPageNamesItsTests(t *testing.T) {
	data, err := os.ReadFile("../docs/security.md")
	require.NoError(t, err)
	rows := 0
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| Threat ") {
			require.Regexp(t, namedTests, line)
			rows++
		}
	}
	require.Positive(t, rows)
	checkNames(t, string(data))
}

// checkNames checks that every test that a page names exists.
func checkNames(t *testing.T, page string) {
	t.Helper()
	known := make(map[string]map[string]bool)
	for suite, patterns := range suiteFiles {
		known[suite] = literals(t, patterns)
	}
	for _, name := range namedTests.FindAllStringSubmatch(page, -1) {
		where, test := name[1]+name[3], name[2]+name[4]
		if known[where] == nil {
			known[where] = testsIn(t, where)
		}
		require.True(t, known[where][test], "%s has no %s", where, test)
	}
}

// checkRows counts the rows of the tables, each of which has five cells, the last
// with names of tests and nothing else.
func checkRows(t *testing.T, page string) (rows int) {
	t.Helper()
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| Behaviour |") {
			continue
		}
		cells := strings.Split(strings.TrimSpace(line), "|")
		require.Len(t, cells, 7, line)
		for _, cell := range cells[1:6] {
			require.NotEmpty(t, strings.TrimSpace(cell), line)
		}
		require.Regexp(t, proofs, strings.TrimSpace(cells[5]), line)
		rows++
	}

	return rows
}

// literals are the strings in the files of compat/compattest.
func literals(t *testing.T, patterns []string) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for _, pattern := range patterns {
		files := parseFiles(t, filepath.Join("..", "compat", "compattest", pattern))
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					text, err := strconv.Unquote(lit.Value)
					require.NoError(t, err)
					found[text] = true
				}

				return true
			})
		}
	}

	return found
}

// testsIn are the tests in a folder of the repository.
func testsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for _, file := range parseFiles(t, filepath.Join("..", filepath.FromSlash(folder), "*_test.go")) {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				found[f.Name.Name] = true
			}
		}
	}

	return found
}

// parseFiles parses what the pattern matches, which must not be nothing.
func parseFiles(t *testing.T, pattern string) (files []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, paths, pattern)
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
	}

	return files
}
