package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// errMismatch says that the source is not as a fault describes it.
var errMismatch = errors.New("the check is not there exactly once")

// fault is a node of this project without one check.
type fault struct {
	// The check is in the file, a path from the root of the repository, and in the function, a
	// name without its receiver.
	file, fn string
	// check is the head of the statement as gofmt writes it: "if x := f(); x > 1" or "case x > 1".
	// It is never true in the faulty node.
	check string
	// without removes the whole statement instead, for a check that acts in its head.
	without bool

	stack string // of the node
	find  string // the case of tm2net conform that finds the fault
}

// overlay writes the file without the check, and the overlay of go build that names it, into the
// folder.
func (f fault) overlay(root, dir string) (path string, err error) {
	name := filepath.Join(root, filepath.FromSlash(f.file))
	changed, err := f.edit(name)
	if err != nil {
		return "", fmt.Errorf("%s: %s: %q: %w", f.file, f.fn, f.check, err)
	}
	faulty := filepath.Join(dir, "faulty.go")
	if err := os.WriteFile(faulty, changed, 0o600); err != nil {
		return "", err
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {name: faulty}})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")

	return path, os.WriteFile(path, list, 0o600)
}

// edit returns the file without the check.
func (f fault) edit(name string) ([]byte, error) {
	source, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var checks []ast.Node // the conditions, or whole statements
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == f.fn {
			checks = append(checks, f.checks(fset, fn)...)
		}
	}
	if len(checks) != 1 {
		return nil, fmt.Errorf("%w, but %d times", errMismatch, len(checks))
	}
	start, end := fset.Position(checks[0].Pos()).Offset, fset.Position(checks[0].End()).Offset
	var never []byte
	if !f.without { // it uses the same variables as before
		never = slices.Concat([]byte("("), source[start:end], []byte(") && false"))
	}

	return slices.Concat(source[:start], never, source[end:]), nil
}

// checks returns the conditions of the check in the function, or its statements.
func (f fault) checks(fset *token.FileSet, fn *ast.FuncDecl) (found []ast.Node) {
	ast.Inspect(fn, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.IfStmt:
			if head(fset, s) != f.check {
				break
			}
			if f.without {
				found = append(found, s)
			} else {
				found = append(found, s.Cond)
			}
		case *ast.CaseClause:
			for _, e := range s.List {
				if "case "+text(fset, e) == f.check {
					found = append(found, e)
				}
			}
		}

		return true
	})

	return found
}

// head is an if statement up to its block.
func head(fset *token.FileSet, s *ast.IfStmt) string {
	if s.Init == nil {
		return "if " + text(fset, s.Cond)
	}

	return "if " + text(fset, s.Init) + "; " + text(fset, s.Cond)
}

// text is a node as gofmt writes it, on one line.
func text(fset *token.FileSet, n ast.Node) string {
	var b strings.Builder
	if err := printer.Fprint(&b, fset, n); err != nil {
		return err.Error() // fits no check
	}

	return strings.Join(strings.Fields(b.String()), " ")
}
