// Package dnstest answers the host name look-ups of a test, so that a test of a
// transport can let a name come, move and go. It takes the place of the servers
// behind net.DefaultResolver, and asks nobody.
package dnstest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
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

// answer is the reply to a query of one question.
func (n *Names) answer(query []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	ip, known := n.lookup(strings.TrimSuffix(question.Name.String(), "."), question.Type)
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	if ip != nil {
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.AResource{A: [net.IPv4len]byte(ip)},
		}}
	}

	return reply.Pack()
}

// lookup returns the IP if the question is for one.
func (n *Names) lookup(name string, kind dnsmessage.Type) (ip net.IP, known bool) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	ip = n.ips[name]
	if kind == dnsmessage.TypeA {
		n.queries[name]++

		return ip, ip != nil
	}

	return nil, ip != nil
}
