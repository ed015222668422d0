package edit

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"slices"
)

// ErrMismatch is wrapped by errors about source that is not as an edit expects. Their text
// names the file and the line.
var ErrMismatch = errors.New("this source differs from the releases that are supported")

// Source is a file that is being changed. It may be used by one goroutine at a time.
type Source struct {
	fset    *token.FileSet
	file    *ast.File
	text    []byte
	changes []change
}

// change replaces the bytes from one offset to another.
type change struct {
	from, to int
	text     string
}

// Parse reads a file's text. The name stands in errors.
func Parse(name string, text []byte) (*Source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}

	return &Source{fset: fset, file: file, text: text}, nil
}

// Bytes returns the changed text, formatted.
func (s *Source) Bytes() ([]byte, error) {
	slices.SortStableFunc(s.changes, func(a, b change) int { return cmp.Compare(a.from, b.from) })
	var b bytes.Buffer
	at := 0
	for _, c := range s.changes {
		if c.from < at {
			return nil, fmt.Errorf("two edits overlap at line %d", bytes.Count(s.text[:c.from], []byte("\n"))+1)
		}
		b.Write(s.text[at:c.from])
		b.WriteString(c.text)
		at = c.to
	}
	b.Write(s.text[at:])

	return format.Source(b.Bytes())
}

// mismatch says at which node the source differs, and what was expected.
func (s *Source) mismatch(at token.Pos, format string, args ...any) error {
	return fmt.Errorf("%s: expected %s: %w", s.fset.Position(at), fmt.Sprintf(format, args...), ErrMismatch)
}

func (s *Source) offset(p token.Pos) int { return s.fset.Position(p).Offset }

// code returns the text of a node.
func (s *Source) code(n ast.Node) string { return string(s.text[s.offset(n.Pos()):s.offset(n.End())]) }

// swap puts text in place of a node.
func (s *Source) swap(n ast.Node, text string) {
	s.changes = append(s.changes, change{s.offset(n.Pos()), s.offset(n.End()), text})
}

// replace puts text in place of the statements from the first to the last, and of the comment
// that stands directly above them.
func (s *Source) replace(first, last ast.Node, text string) {
	s.changes = append(s.changes, change{s.offset(s.withComment(first)), s.offset(last.End()), text})
}

// insert puts text in front of a position.
func (s *Source) insert(at token.Pos, text string) {
	s.changes = append(s.changes, change{s.offset(at), s.offset(at), text})
}

// withComment returns where a node begins with the comment directly above it.
func (s *Source) withComment(n ast.Node) token.Pos {
	line := s.fset.Position(n.Pos()).Line
	for _, group := range s.file.Comments {
		if s.fset.Position(group.End()).Line == line-1 {
			return group.Pos()
		}
	}

	return n.Pos()
}

// function returns the function of a name, or the method of a type's pointer.
func (s *Source) function(receiver, name string) (*ast.FuncDecl, error) {
	for _, d := range s.file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && f.Name.Name == name && f.Body != nil && s.receiver(f) == receiver {
			return f, nil
		}
	}
	if receiver != "" {
		name = "(*" + receiver + ")." + name
	}

	return nil, s.mismatch(s.file.Package, "a function %s", name)
}

// receiver returns the type to whose pointer a method belongs, else "".
func (s *Source) receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) != 1 {
		return ""
	}
	if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
		return s.code(star.X)
	}

	return ""
}

// structure returns the fields of a struct type.
func (s *Source) structure(name string) (*ast.StructType, error) {
	for _, d := range s.file.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			if t, ok := spec.(*ast.TypeSpec); ok && t.Name.Name == name {
				if structure, ok := t.Type.(*ast.StructType); ok {
					return structure, nil
				}
			}
		}
	}

	return nil, s.mismatch(s.file.Package, "a struct %s", name)
}
