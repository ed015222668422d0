package edit

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// NodeFile is the file that Node changes, relative to the module of gno.
const NodeFile = "tm2/pkg/bft/node/node.go"

const (
	connImport   = "github.com/gnolang/gno/tm2/pkg/p2p/conn"
	dropinImport = "github.com/tm2-libp2p/tm2-libp2p/dropin"

	newTransport = "p2p.NewMultiplexTransport"
	newSwitch    = "p2p.NewMultiplexSwitch"
)

// Node gives the node of a gno the switch of dropin.NewConfiguredSwitch in place of gno's
// transport and switch. The source is that of NodeFile.
func Node(s *Source) error {
	for _, edit := range []func() error{
		s.editImport, s.editFields, s.editAccessor, s.editConstructor, s.editNodeInfo, s.editOnStart, s.editOnStop, s.requireNoTransport,
	} {
		if err := edit(); err != nil {
			return err
		}
	}

	return nil
}

// editImport imports dropin in place of the connections of gno's transport.
func (s *Source) editImport() error {
	for _, spec := range s.file.Imports {
		if path, err := strconv.Unquote(spec.Path.Value); err == nil && path == connImport && spec.Name == nil {
			s.swap(spec, strconv.Quote(dropinImport))

			return nil
		}
	}

	return s.mismatch(s.file.Name.Pos(), "an import of %s", connImport)
}

// editFields removes the transport of type Node, and changes the type of its switch.
func (s *Source) editFields() error {
	node, err := s.structure("Node")
	if err != nil {
		return err
	}
	var transport, sw bool
	for _, field := range node.Fields.List {
		switch s.code(field.Type) {
		case "*p2p.MultiplexTransport":
			transport = true
			s.swap(field, "")
		case "*p2p.MultiplexSwitch":
			sw = true
			s.swap(field.Type, "*dropin.Switch")
		}
	}
	if !transport || !sw {
		return s.mismatch(node.Pos(), "fields of type *p2p.MultiplexTransport and *p2p.MultiplexSwitch in Node")
	}

	return nil
}

// editAccessor changes the type that the node's method Switch returns.
func (s *Source) editAccessor() error {
	f, err := s.function("Node", "Switch")
	if err != nil {
		return err
	}
	results := f.Type.Results
	if results == nil || len(results.List) != 1 || s.code(results.List[0].Type) != "*p2p.MultiplexSwitch" {
		return s.mismatch(f.Pos(), "a method Switch that returns a *p2p.MultiplexSwitch")
	}
	s.swap(results.List[0].Type, "*dropin.Switch")

	return nil
}

// editConstructor removes the transport from NewNode, and makes our switch from the node's
// reactors and config.
func (s *Source) editConstructor() error {
	f, err := s.function("", "NewNode")
	if err != nil {
		return err
	}
	body := f.Body.List
	transport, err := s.only(f, newTransport)
	if err != nil {
		return err
	}
	s.replace(body[transport], body[transport], "")
	first, last, err := s.switchStatements(f)
	if err != nil {
		return err
	}
	s.replace(body[first], body[last], `byName := make(map[string]p2p.Reactor, len(reactors))
	for _, r := range reactors {
		byName[r.name] = r.reactor
	}
	sw, err := dropin.NewConfiguredSwitch(nodeInfo, *nodeKey, config.P2P, byName, p2pLogger)
	if err != nil {
		return nil, err
	}`)
	if err := s.requireNoFailure(body[last+1:]); err != nil {
		return err
	}

	return s.editLiteral(f)
}

// switchStatements returns the first and the last statement of NewNode that make gno's
// switch and its options.
func (s *Source) switchStatements(f *ast.FuncDecl) (first, last int, err error) {
	body := f.Body.List
	made, err := s.only(f, newSwitch)
	if err != nil {
		return 0, 0, err
	}
	if last = made + 1; last == len(body) || !s.calls(body[last], "sw.SetLogger") {
		return 0, 0, s.mismatch(body[made].End(), "a call of sw.SetLogger after that of %s", newSwitch)
	}
	for first = made - 1; first >= 0; first-- {
		if err := s.requireOptions(body[first]); err != nil {
			return 0, 0, err
		}
		if defines(body[first], "peerAddrs") {
			return first, last, nil
		}
	}

	return 0, 0, s.mismatch(f.Pos(), "a variable peerAddrs in %s", f.Name.Name)
}

// requireOptions checks that a statement does nothing but prepare the options of a switch,
// all of which our switch takes from the config itself.
func (s *Source) requireOptions(stmt ast.Stmt) error {
	known := []string{
		"p2p.WithPersistentPeers", "p2p.WithSeeds", "p2p.WithPrivatePeers", "p2p.WithMaxInboundPeers",
		"p2p.WithMaxOutboundPeers", "p2p.WithAllowDuplicateIP", "p2p.WithReactor",
	}
	var unknown ast.Node
	ast.Inspect(stmt, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if ok && strings.HasPrefix(s.code(call.Fun), "p2p.With") && !slices.Contains(known, s.code(call.Fun)) {
			unknown = call
		}

		return true
	})
	if unknown != nil {
		return s.mismatch(unknown.Pos(), "no option of the switch but %s", strings.Join(known, ", "))
	}
	switch {
	case s.logsErrors(stmt),
		s.calls(stmt, "parsePersistentPeerAddrs", "parseSeedAddrs", "p2pTypes.NewNetAddressFromStrings", "p2pTypes.NewIDFromStrings"):
		return nil
	case defines(stmt, "opts") && strings.HasPrefix(s.code(stmt.(*ast.AssignStmt).Rhs[0]), "[]p2p.SwitchOption{"):
		return nil
	case s.addsReactors(stmt):
		return nil
	}

	return s.mismatch(stmt.Pos(), "nothing but the options of %s between peerAddrs and its call", newSwitch)
}

// addsReactors reports whether a statement makes options of the node's reactors.
func (s *Source) addsReactors(stmt ast.Stmt) bool {
	loop, ok := stmt.(*ast.RangeStmt)

	return ok && s.code(loop.X) == "reactors" && len(loop.Body.List) == 1 &&
		strings.HasPrefix(s.code(loop.Body.List[0]), "opts = append(opts, p2p.WithReactor(")
}

// requireNoFailure checks that the statements after the switch is made return no error:
// they would have to close the switch.
func (s *Source) requireNoFailure(after []ast.Stmt) error {
	for _, stmt := range after {
		var err error
		ast.Inspect(stmt, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				return false
			case *ast.ReturnStmt:
				if len(n.Results) != 2 || s.code(n.Results[1]) != "nil" {
					err = s.mismatch(n.Pos(), "that NewNode cannot fail after its switch is made")
				}
			}

			return true
		})
		if err != nil {
			return err
		}
	}

	return nil
}

// editLiteral removes the transport from the Node that NewNode makes.
func (s *Source) editLiteral(f *ast.FuncDecl) error {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if !ok || literal.Type == nil || s.code(literal.Type) != "Node" {
			return true
		}
		for _, element := range literal.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok && s.code(pair.Key) == "transport" {
				found = true
				comma := s.offset(pair.End())
				if comma < len(s.text) && s.text[comma] == ',' {
					comma++
				}
				s.changes = append(s.changes, change{s.offset(pair.Pos()), comma, ""})
			}
		}

		return true
	})
	if !found {
		return s.mismatch(f.Pos(), "a field transport in the Node that NewNode makes")
	}

	return nil
}

// editNodeInfo lets a node start whose external address is a host name that does not resolve yet.
// Our switch follows the name, and refuses what cannot be an address.
func (s *Source) editNodeInfo() error {
	f, err := s.function("", "makeNodeInfo")
	if err != nil {
		return err
	}
	const cond = `config.P2P.ExternalAddress != ""`
	at := slices.IndexFunc(f.Body.List, func(stmt ast.Stmt) bool {
		external, ok := stmt.(*ast.IfStmt)

		return ok && s.code(external.Cond) == cond
	})
	if at < 0 {
		return s.mismatch(f.Pos(), "`if %s` in makeNodeInfo", cond)
	}
	body := f.Body.List[at].(*ast.IfStmt).Body.List
	const taken = "nodeInfo.NetAddress = addr"
	if len(body) != 3 || !s.calls(body[0], "p2pTypes.NewNetAddressFromString") || !s.returnsError(body[1]) || s.code(body[2]) != taken {
		return s.mismatch(f.Body.List[at].Pos(), "three statements that make the external address")
	}
	s.replace(body[1], body[2], "if err == nil { // else dropin looks it up until it resolves\n"+taken+"\n}")

	return nil
}

// editOnStart lets our switch listen and start, and leaves the dials of persistent peers to
// it.
func (s *Source) editOnStart() error {
	f, err := s.function("Node", "OnStart")
	if err != nil {
		return err
	}
	body := f.Body.List
	listen, err := s.only(f, "n.transport.Listen")
	if err != nil {
		return err
	}
	if listen < 3 || !s.calls(body[listen-3], "p2pTypes.NetAddressString") ||
		!s.calls(body[listen-2], "p2pTypes.NewNetAddressFromString") || !s.returnsError(body[listen-1]) {
		return s.mismatch(body[listen].Pos(), "three statements that make the listen address before n.transport.Listen")
	}
	port, ok := body[min(listen+1, len(body)-1)].(*ast.IfStmt)
	if !ok || s.code(port.Cond) != "addr.Port == 0" {
		return s.mismatch(body[listen].End(), "`if addr.Port == 0` after n.transport.Listen")
	}
	s.replace(body[listen-3], port, `listenAddr := n.sw.NetAddress()
	if err := n.sw.Listen(); err != nil {
		return err
	}
	if listenAddr.Port == 0 {
		listenAddr = n.sw.NetAddress()
		n.config.P2P.ListenAddress = listenAddr.DialString()
	}`)

	start, err := s.only(f, "n.sw.Start")
	if err != nil {
		return err
	}
	if start+1 == len(body) || !s.returnsError(body[start+1]) {
		return s.mismatch(body[start].End(), "`if err != nil` after n.sw.Start")
	}
	s.replace(body[start], body[start+1], `if err := n.sw.Start(); err != nil {
		if failed := n.sw.Close(); failed != nil {
			n.Logger.Error("unable to close the switch", "err", failed)
		}

		return err
	}`)

	return s.editDials(f)
}

// editDials removes the dials of persistent peers, which releases up to v1.4.0 make.
func (s *Source) editDials(f *ast.FuncDecl) error {
	body := f.Body.List
	dial := slices.IndexFunc(body, func(stmt ast.Stmt) bool { return s.calls(stmt, "n.sw.DialPeers") })
	if dial < 0 {
		return nil
	}
	if dial < 2 || !defines(body[dial-2], "peerAddrs") || !s.logsErrors(body[dial-1]) {
		return s.mismatch(body[dial].Pos(), "two statements that parse peerAddrs before n.sw.DialPeers")
	}
	s.replace(body[dial-2], body[dial], "")

	return nil
}

// editOnStop leaves the end of the transport to our switch.
func (s *Source) editOnStop() error {
	f, err := s.function("Node", "OnStop")
	if err != nil {
		return err
	}
	at, err := s.only(f, "n.transport.Close")
	if err != nil {
		return err
	}
	if _, err := s.only(f, "n.sw.Stop"); err != nil {
		return err
	}
	s.replace(f.Body.List[at], f.Body.List[at], "")

	return nil
}

// requireNoTransport checks that nothing uses what the edits have removed.
func (s *Source) requireNoTransport() (err error) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok || err != nil || s.removed(n) {
			return err == nil
		}
		switch code := s.code(selector); {
		case strings.HasPrefix(code, "conn."), code == "n.transport", code == newTransport, code == newSwitch:
			err = s.mismatch(n.Pos(), "no further use of %s", code)
		}

		return true
	})

	return err
}

// removed reports whether a change has the place of a node.
func (s *Source) removed(n ast.Node) bool {
	return slices.ContainsFunc(s.changes, func(c change) bool {
		return c.from <= s.offset(n.Pos()) && s.offset(n.End()) <= c.to
	})
}
