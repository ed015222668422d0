package edit

import (
	"go/ast"
	"slices"
)

// Files of gno that tell what a release lacks, relative to its module.
const (
	AddressFile = "tm2/pkg/p2p/types/netaddress.go"
	TypesFile   = "tm2/pkg/p2p/types.go"
)

// Tags returns the build tags under which package dropin compiles against a gno, from the
// sources of AddressFile and TypesFile.
func Tags(address, types *Source) ([]string, error) {
	var tags []string
	fields, err := address.structure("NetAddress")
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(fields.Fields.List, func(f *ast.Field) bool { return len(f.Names) == 1 && f.Names[0].Name == "Hostname" }) {
		tags = append(tags, "gno_no_hostname")
	}
	add, err := types.method("PeerSet", "Add")
	if err != nil {
		return nil, err
	}
	if add.Results == nil {
		tags = append(tags, "gno_add_no_error")
	}

	return tags, nil
}

// method returns the type of a method of an interface.
func (s *Source) method(of, name string) (f *ast.FuncType, err error) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != of {
			return true
		}
		if i, ok := spec.Type.(*ast.InterfaceType); ok {
			for _, m := range i.Methods.List {
				if t, ok := m.Type.(*ast.FuncType); ok && m.Names[0].Name == name {
					f = t
				}
			}
		}

		return false
	})
	if f == nil {
		return nil, s.mismatch(s.file.Package, "a method %s of the interface %s", name, of)
	}

	return f, nil
}
