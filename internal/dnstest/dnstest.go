// Package dnstest answers the host name look-ups of a test, so that a test of a
// transport can let a name come, move and go. It takes the place of the servers
// behind net.DefaultResolver, and asks nobody.
package dnstest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

const (
	typeA     = 1
	headerLen = 12
)

// Names are the host names that resolve. All methods may be called concurrently.
type Names struct {
	t testing.TB

	mtx     sync.Mutex
	ips     map[string]net.IP
	queries map[string]int
}

// Install makes net.DefaultResolver ask the returned Names until the test ends. At
// first no name resolves. Tests that use it must not run in parallel.
func Install(t testing.TB) *Names {
	t.Helper()
	n := &Names{t: t, ips: make(map[string]net.IP), queries: make(map[string]int)}
	r := net.DefaultResolver // changed in place: others keep the pointer
	preferGo, dial := r.PreferGo, r.Dial
	var serving sync.WaitGroup
	r.PreferGo = true
	r.Dial = func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		serving.Go(func() { n.serve(server) })

		return client, nil
	}
	t.Cleanup(func() {
		r.PreferGo, r.Dial = preferGo, dial
		serving.Wait()
	})

	return n
}

// Set lets the name resolve to an IPv4 address, or to none if ip is nil.
func (n *Names) Set(name string, ip net.IP) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	n.ips[name] = ip.To4()
}

// Queries is how often the IPv4 address of the name was asked for.
func (n *Names) Queries(name string) int {
	n.mtx.Lock()
	defer n.mtx.Unlock()

	return n.queries[name]
}

// serve answers on a connection, where messages have their length in front (RFC
// 1035 §4.2.2), until the resolver closes it.
func (n *Names) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply, err := n.answer(query)
		if err != nil {
			n.t.Errorf("unexpected query % x: %v", query, err)

			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

// answer is the reply to a query of one question (RFC 1035 §4.1).
func (n *Names) answer(query []byte) ([]byte, error) {
	name, question, err := parseQuestion(query)
	if err != nil {
		return nil, err
	}
	ip, known := n.lookup(name, binary.BigEndian.Uint16(question[len(question)-4:]))

	const response, noSuchName = 0x8180, 3
	flags, answers := uint16(response), uint16(0)
	if !known {
		flags |= noSuchName
	}
	if ip != nil {
		answers = 1
	}
	reply := append([]byte(nil), query[:2]...)
	for _, word := range []uint16{flags, 1, answers, 0, 0} {
		reply = binary.BigEndian.AppendUint16(reply, word)
	}
	reply = append(reply, question...)
	if ip != nil {
		// The name by reference to the question, type A, class IN, no lifetime.
		reply = append(reply, 0xc0, headerLen, 0, typeA, 0, 1, 0, 0, 0, 0, 0, net.IPv4len)
		reply = append(reply, ip...)
	}

	return reply, nil
}

// lookup returns the IP if the question is for one.
func (n *Names) lookup(name string, kind uint16) (ip net.IP, known bool) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	ip = n.ips[name]
	if kind == typeA {
		n.queries[name]++

		return ip, ip != nil
	}

	return nil, ip != nil
}

// parseQuestion returns the name without its last dot, and the question as it is.
func parseQuestion(query []byte) (name string, question []byte, err error) {
	errShort := errors.New("message is too short")
	if len(query) < headerLen {
		return "", nil, errShort
	}
	var labels []string
	rest := query[headerLen:]
	for {
		if len(rest) == 0 || len(rest) <= int(rest[0]) {
			return "", nil, errShort
		}
		label := rest[1 : 1+int(rest[0])]
		rest = rest[1+len(label):]
		if len(label) == 0 {
			break
		}
		labels = append(labels, string(label))
	}
	if len(rest) < 4 { // type and class
		return "", nil, errShort
	}

	return strings.Join(labels, "."), query[headerLen : len(query)-len(rest)+4], nil
}
