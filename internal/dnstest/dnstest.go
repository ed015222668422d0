// Package dnstest answers the host name look-ups of a test, so that a test of a
// transport can add, change and remove names. It stands in for the servers behind
// net.DefaultResolver and asks none.
package dnstest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// current answers for net.DefaultResolver.
var current atomic.Pointer[Names]

// A look-up may go on after the test that has caused it, since package net shares look-ups.
// So the resolver is changed before the first look-up and never again.
func init() {
	system := net.DefaultResolver.Dial
	if system == nil {
		system = new(net.Dialer).DialContext
	}
	net.DefaultResolver.PreferGo = true
	net.DefaultResolver.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if n := current.Load(); n != nil {
			return n.dial()
		}

		return system(ctx, network, address)
	}
	prepare()
}

// prepare makes package net read its configuration. The first look-up does, and makes channels
// for it, which would belong to the synctest bubble of a test that came first.
func prepare() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, _ = net.DefaultResolver.LookupHost(ctx, "localhost") // whatever it finds
}

// errEnded is what look-ups meet after their test.
var errEnded = errors.New("the test has ended")

// Names are the host names that resolve. All methods may be called concurrently.
type Names struct {
	t testing.TB

	mtx     sync.Mutex
	ips     map[string][]net.IP
	queries map[string]int
	serving sync.WaitGroup
	ended   bool
}

// Install makes net.DefaultResolver ask the returned Names. At first no name resolves. When
// the test ends, all look-ups fail until another test calls Install. Tests that use it must
// not run in parallel.
func Install(t testing.TB) *Names {
	t.Helper()
	n := &Names{t: t, ips: make(map[string][]net.IP), queries: make(map[string]int)}
	current.Store(n)
	t.Cleanup(func() {
		n.mtx.Lock()
		n.ended = true
		n.mtx.Unlock()
		n.serving.Wait()
	})

	return n
}

// dial returns a connection to a server of the names.
func (n *Names) dial() (net.Conn, error) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	if n.ended {
		return nil, errEnded
	}
	client, server := net.Pipe()
	n.serving.Go(func() { n.serve(server) })

	return client, nil
}

// Set lets the name resolve to these IPv4 and IPv6 addresses. A nil address counts as
// none.
func (n *Names) Set(name string, ips ...net.IP) {
	n.mtx.Lock()
	defer n.mtx.Unlock()
	n.ips[name] = slices.DeleteFunc(slices.Clone(ips), func(ip net.IP) bool { return ip == nil })
}

// Queries is how often the IPv4 addresses of the name were asked for.
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
	var msg dnsmessage.Message
	if err := msg.Unpack(query); err != nil {
		return nil, err
	}
	if len(msg.Questions) != 1 {
		return nil, fmt.Errorf("%d questions", len(msg.Questions))
	}
	question := msg.Questions[0]
	msg.Header = dnsmessage.Header{ID: msg.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}
	msg.Additionals = nil

	n.mtx.Lock()
	defer n.mtx.Unlock()
	name := strings.TrimSuffix(question.Name.String(), ".")
	if question.Type == dnsmessage.TypeA {
		n.queries[name]++
	}
	ips := n.ips[name]
	if len(ips) == 0 {
		msg.RCode = dnsmessage.RCodeNameError
	}
	for _, ip := range ips {
		var body dnsmessage.ResourceBody
		if ip4 := ip.To4(); ip4 != nil && question.Type == dnsmessage.TypeA {
			body = &dnsmessage.AResource{A: [4]byte(ip4)}
		} else if ip4 == nil && question.Type == dnsmessage.TypeAAAA {
			body = &dnsmessage.AAAAResource{AAAA: [16]byte(ip)}
		} else {
			continue
		}
		header := dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class}
		msg.Answers = append(msg.Answers, dnsmessage.Resource{Header: header, Body: body})
	}

	return msg.Pack()
}
