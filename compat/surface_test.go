package compat_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// untyped are the signatures with a value of any type: those of TM2 itself, and the
// arguments of a format.
var untyped = []string{
	"PeerConn.Set", "PeerConn.Get", "Reactor.RemovePeer", "*.RemovePeer", "Reject",
}

// publicFiles parses the non-test files of every public package of the module.
func publicFiles(t *testing.T) map[string]*ast.File {
	t.Helper()
	files := make(map[string]*ast.File)
	fset := token.NewFileSet()
	require.NoError(t, filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{"internal", "cmd", "interop-tests", "testdata", "compattest", "docs"}, d.Name()) {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, 0)
		files[path] = file

		return err
	}))
	require.Greater(t, len(files), 100)

	return files
}

// eachSignature calls visit for every exported function, method and method of an
// exported interface.
func eachSignature(file *ast.File, visit func(name string, sig *ast.FuncType)) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			switch {
			case !d.Name.IsExported():
			case d.Recv == nil:
				visit(d.Name.Name, d.Type)
			case receiver(d).IsExported():
				visit("*."+d.Name.Name, d.Type)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				typ, ok := spec.(*ast.TypeSpec)
				if !ok || !typ.Name.IsExported() {
					continue
				}
				if i, ok := typ.Type.(*ast.InterfaceType); ok {
					for _, m := range i.Methods.List {
						if sig, ok := m.Type.(*ast.FuncType); ok {
							visit(typ.Name.Name+"."+m.Names[0].Name, sig)
						}
					}
				}
			}
		}
	}
}

func receiver(d *ast.FuncDecl) *ast.Ident {
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}

	return typ.(*ast.Ident)
}

func takesAny(sig *ast.FuncType) (found bool) {
	ast.Inspect(sig, func(n ast.Node) bool {
		ident, named := n.(*ast.Ident)
		literal, empty := n.(*ast.InterfaceType)
		found = found || named && ident.Name == "any" || empty && len(literal.Methods.List) == 0

		return true
	})

	return found
}

// A value of any type is not checked by the compiler.
func TestSignaturesAreTyped(t *testing.T) {
	for path, file := range publicFiles(t) {
		eachSignature(file, func(name string, sig *ast.FuncType) {
			if takesAny(sig) {
				require.Contains(t, untyped, name, path)
			}
		})
	}
}

// Every option is a function of one thing that it changes, returns nothing, and is
// made by a function With....
func TestOptionsHaveOneShape(t *testing.T) {
	packages := make(map[string]bool)
	for path, file := range publicFiles(t) {
		for _, decl := range file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.TYPE {
				continue
			}
			for _, spec := range d.Specs {
				typ := spec.(*ast.TypeSpec)
				if name := typ.Name.Name; name != "Option" && name != "SwitchOption" {
					require.False(t, strings.HasSuffix(name, "Option"), "%s: %s", path, name)

					continue
				}
				sig, ok := typ.Type.(*ast.FuncType)
				require.True(t, ok, path)
				require.Len(t, sig.Params.List, 1, path)
				require.IsType(t, &ast.StarExpr{}, sig.Params.List[0].Type, path)
				require.Nil(t, sig.Results, path)
				packages[filepath.Dir(path)] = true
			}
		}
		eachSignature(file, func(name string, sig *ast.FuncType) {
			if sig.Results == nil || len(sig.Results.List) != 1 {
				return
			}
			result, ok := sig.Results.List[0].Type.(*ast.Ident)
			if ok && (result.Name == "Option" || result.Name == "SwitchOption") {
				require.True(t, strings.HasPrefix(name, "With"), "%s: %s", path, name)
			}
		})
	}
	require.GreaterOrEqual(t, len(packages), 7)
}
