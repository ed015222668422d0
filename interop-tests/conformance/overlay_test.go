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

// fault is a node of this project without one check, or without those that stand behind each other.
type fault struct {
	checks []check
	stack  string   // of the node; native when empty
	find   string   // the case of tm2net conform that finds the fault
	also   []string // other cases of its section that do
	ends   bool     // it finds it since the node's process ends
	listen bool     // it is played when the node dials
}

// check is a statement of the source.
type check struct {
	// file is a path from the root of the repository, and fn the function, without its receiver.
	file, fn string
	// head is that of the statement as gofmt writes it: "if x := f(); x > 1" or "case x > 1". It
	// is never true in the faulty node.
	head string
	// without leaves out the whole statement instead, for a check that acts in its head.
	without bool
}

// never are checks whose condition is never true.
func never(file, fn, head string) []check { return []check{{file: file, fn: fn, head: head}} }

// without are checks that act in their head, and are left out.
func without(file, fn, head string) []check {
	return []check{{file: file, fn: fn, head: head, without: true}}
}

// env is the variable that makes a node have the fault: one program has all of them.
func (f fault) env() string { return "CONFORM_FAULT_" + f.find }

// made is whether the node makes the checks, in Go.
func (f fault) made() string { return fmt.Sprintf("faultenv.Getenv(%q) == \"\"", f.env()) }

// faultImport gives a file the package that made uses.
const faultImport = "; import faultenv \"os\""

// missed returns the cases that have not found the fault, although they should.
func (f fault) missed(reports []report) []string {
	want := "deviates"
	if f.ends {
		want = "ended"
	}

	return slices.DeleteFunc(append([]string{f.find}, f.also...), func(name string) bool {
		return slices.ContainsFunc(reports, func(r report) bool { return slices.Contains(statuses(r), name+" "+want) })
	})
}

// overlay writes the files with all faults, and the overlay of go build that names them, into the
// folder.
func overlay(faults []fault, root, dir string) (path string, err error) {
	changed := make(map[string][]byte)
	for _, f := range faults {
		for _, c := range f.checks {
			name := filepath.Join(root, filepath.FromSlash(c.file))
			source, ok := changed[name]
			if !ok {
				if source, err = os.ReadFile(name); err != nil {
					return "", err
				}
			}
			if changed[name], err = c.edit(source, f.made()); err != nil {
				return "", fmt.Errorf("%s: %s: %q: %w", c.file, c.fn, c.head, err)
			}
		}
	}
	replace := make(map[string]string)
	for name, text := range changed {
		replace[name] = filepath.Join(dir, fmt.Sprintf("faulty%d.go", len(replace)))
		if err := os.WriteFile(replace[name], text, 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")

	return path, os.WriteFile(path, list, 0o600)
}

// edit returns a file in which the check is made only if the expression is true.
func (c check) edit(source []byte, made string) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var checks []ast.Node // the conditions, or whole statements
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == c.fn {
			checks = append(checks, c.find(fset, fn)...)
		}
	}
	if len(checks) != 1 {
		return nil, fmt.Errorf("%w, but %d times", errMismatch, len(checks))
	}
	name := fset.Position(file.Name.End()).Offset
	start, end := fset.Position(checks[0].Pos()).Offset, fset.Position(checks[0].End()).Offset
	open, shut := "(", ") && "+made
	if c.without {
		open, shut = "if "+made+" { ", " }"
	}
	head := source[:name]
	if !strings.HasPrefix(string(source[name:]), faultImport) {
		head = append(slices.Clone(head), faultImport...)
	}

	return slices.Concat(head, source[name:start], []byte(open), source[start:end], []byte(shut), source[end:]), nil
}

// find returns the conditions of the check in the function, or its statements.
func (c check) find(fset *token.FileSet, fn *ast.FuncDecl) (found []ast.Node) {
	ast.Inspect(fn, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.IfStmt:
			if head(fset, s) != c.head {
				break
			}
			if c.without {
				found = append(found, s)
			} else {
				found = append(found, s.Cond)
			}
		case *ast.CaseClause:
			for _, e := range s.List {
				if "case "+text(fset, e) == c.head {
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
