package edit

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// caller returns the call that a statement makes: an expression, the only value of an
// assignment, or that of the assignment with which an if begins. Otherwise it is nil.
func caller(stmt ast.Stmt) *ast.CallExpr {
	switch stmt := stmt.(type) {
	case *ast.ExprStmt:
		call, _ := stmt.X.(*ast.CallExpr)

		return call
	case *ast.AssignStmt:
		if len(stmt.Rhs) == 1 {
			call, _ := stmt.Rhs[0].(*ast.CallExpr)

			return call
		}
	case *ast.IfStmt:
		if stmt.Init != nil {
			return caller(stmt.Init)
		}
	}

	return nil
}

// calls reports whether a statement makes a call of one of the functions, each named as the
// source writes it, such as p2p.NewMultiplexSwitch.
func (s *Source) calls(stmt ast.Stmt, functions ...string) bool {
	call := caller(stmt)

	return call != nil && slices.Contains(functions, s.code(call.Fun))
}

// only returns the index of the only statement of a function's body that makes the call.
func (s *Source) only(f *ast.FuncDecl, call string) (int, error) {
	index := slices.IndexFunc(f.Body.List, func(stmt ast.Stmt) bool { return s.calls(stmt, call) })
	if index < 0 {
		return 0, s.mismatch(f.Pos(), "a call of %s in %s", call, f.Name.Name)
	}
	for _, stmt := range f.Body.List[index+1:] {
		if s.calls(stmt, call) {
			return 0, s.mismatch(stmt.Pos(), "one call of %s in %s", call, f.Name.Name)
		}
	}

	return index, nil
}

// defines reports whether a statement declares a variable.
func defines(stmt ast.Stmt, variable string) bool {
	assign, ok := stmt.(*ast.AssignStmt)

	return ok && assign.Tok == token.DEFINE && slices.ContainsFunc(assign.Lhs, func(e ast.Expr) bool {
		name, ok := e.(*ast.Ident)

		return ok && name.Name == variable
	})
}

// returnsError reports whether a statement is `if err != nil` and returns.
func (s *Source) returnsError(stmt ast.Stmt) bool {
	cond, ok := stmt.(*ast.IfStmt)
	if !ok || cond.Init != nil || cond.Else != nil || s.code(cond.Cond) != "err != nil" || len(cond.Body.List) != 1 {
		return false
	}
	_, ok = cond.Body.List[0].(*ast.ReturnStmt)

	return ok
}

// logsErrors reports whether a statement ranges over errors and only logs them.
func (s *Source) logsErrors(stmt ast.Stmt) bool {
	loop, ok := stmt.(*ast.RangeStmt)
	if !ok || s.code(loop.X) != "errs" || len(loop.Body.List) != 1 {
		return false
	}
	call := caller(loop.Body.List[0])

	return call != nil && strings.HasSuffix(s.code(call.Fun), "ogger.Error")
}
