package compat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// Errors that mean the same on every stack. They may be wrapped.
var (
	// ErrAlreadyListening is returned by a second Listen.
	ErrAlreadyListening = errors.New("transport listens already")
	// ErrBusy is returned by Dial when the remote has too many handshakes under way.
	ErrBusy = errors.New("remote has too many handshakes under way")
	// ErrNoResources is returned by Dial when a limit of this node's own forbids the
	// connection.
	ErrNoResources = errors.New("this node has no resources for the connection")
)

// DialFailure says what a failed dial has shown about the address and the peer.
type DialFailure uint8

// The kinds of failed dials.
const (
	// DialUnclear: the connection failed and showed no reason.
	DialUnclear DialFailure = iota
	// DialLocal: this node ended the dial, or had no resources for it.
	DialLocal
	// DialTimedOut: no answer came in time.
	DialTimedOut
	// DialUnreachable: nobody listens there, no route leads there, or the host name
	// does not exist.
	DialUnreachable
	// DialWrongID: another node answered. A *WrongIDError names it.
	DialWrongID
	// DialForeign: something that is no node answered. A *ForeignError says what.
	DialForeign
	// DialNotTM2: the peer itself answered, and is no TM2 node.
	DialNotTM2

	// The peer itself answered in TM2's protocol in the cases that follow.

	// DialOtherNetwork: its network, versions or channels do not fit.
	DialOtherNetwork
	// DialBusy: there is no room for the connection now.
	DialBusy
	// DialDuplicate: the two nodes are connected already.
	DialDuplicate
	// DialClosing: the peer shuts down.
	DialClosing
	// DialRefused: one of the sides did not want the other for another reason. A
	// *RejectError has the code if there is one. A peer that this node has blocked is
	// refused before it is dialed, so that it may not have answered at all.
	DialRefused
)

var dialFailureNames = [...]string{
	"unclear", "local", "timed out", "unreachable", "wrong ID", "foreign", "not TM2",
	"other network", "busy", "duplicate", "closing", "refused",
}

// String returns the name of the kind, or its number where it has none.
func (f DialFailure) String() string {
	if int(f) < len(dialFailureNames) {
		return dialFailureNames[f]
	}

	return fmt.Sprintf("failure %d", uint8(f))
}

// Answered reports whether the peer itself answered in TM2's protocol, or this node refused
// to dial it.
func (f DialFailure) Answered() bool { return f >= DialOtherNetwork }

// WrongIDError says that another node than the one that was dialed answers at an
// address.
type WrongIDError struct {
	Addr      string   // IP:port or host:port
	Asked     types.ID // the node that was dialed
	Found     types.ID // the node that answers; empty when its key is not Ed25519
	FoundPeer string   // its libp2p peer ID; empty on the native stack
}

// Error names both IDs.
func (e *WrongIDError) Error() string {
	found := e.Found.String()
	if found == "" {
		found = "the libp2p peer " + e.FoundPeer
	}

	return fmt.Sprintf("wrong node at %s: asked for %s, found %s", e.Addr, e.Asked, found)
}

// ForeignError says that the remote does not speak the protocol in which it was
// dialed.
type ForeignError struct {
	Answered string // what it speaks: "native", "libp2p", "HTTP", "TLS", "SSH", "PROXY", or empty
	Proved   bool   // it has proved the ID that was dialed
	Err      error
}

// Error says what answered, if that is known, and why the handshake failed.
func (e *ForeignError) Error() string {
	if e.Answered == "" {
		return e.Err.Error()
	}

	return fmt.Sprintf("remote speaks %s: %v", e.Answered, e.Err)
}

// Unwrap returns the failure of the handshake.
func (e *ForeignError) Unwrap() error { return e.Err }

// ClassifyDial returns what an error of Transport.Dial has shown, or one that wraps a
// refusal of a connection. An error may have several causes. The answer of the peer
// counts first, then whether this node ended the dial, then what answered in place of
// the peer, then a timeout, and last that nobody answered: no transient failure makes a
// peer look gone.
func ClassifyDial(err error) DialFailure {
	var (
		reject   *RejectError
		wrong    *WrongIDError
		foreign  *ForeignError
		declared interface{ DialFailure() DialFailure }
	)
	switch {
	case errors.As(err, &reject):
		return reject.dialFailure()
	case errors.Is(err, ErrBusy):
		return DialBusy
	case isAny(err, types.ErrIncompatibleVersions, types.ErrIncompatibleNetworks, types.ErrNoCommonChannels):
		return DialOtherNetwork
	case isAny(err, context.Canceled, ErrTransportClosed, ErrNoResources, syscall.EMFILE, syscall.ENFILE,
		syscall.ENOBUFS, syscall.ENOMEM, syscall.ENETDOWN), isOutOfPorts(err):
		return DialLocal
	case errors.As(err, &wrong):
		return DialWrongID
	case errors.As(err, &foreign) && foreign.Proved:
		return DialNotTM2
	case foreign != nil:
		return DialForeign
	case errors.As(err, &declared) && declared.DialFailure() != DialUnclear:
		return declared.DialFailure()
	default:
		return classifyNetwork(err)
	}
}

func (e *RejectError) dialFailure() DialFailure {
	switch e.Code {
	case RejectIncompatible:
		return DialOtherNetwork
	case RejectFull, RejectUnavailable:
		return DialBusy
	case RejectDuplicate:
		return DialDuplicate
	case RejectClosing:
		return DialClosing
	default:
		return DialRefused
	}
}

// classifyNetwork is ClassifyDial for what sockets and resolvers return.
func classifyNetwork(err error) DialFailure {
	var (
		network net.Error
		dns     *net.DNSError
	)
	switch {
	case isAny(err, context.DeadlineExceeded, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return DialTimedOut
	case errors.As(err, &dns) && dns.IsNotFound,
		isAny(err, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENETUNREACH):
		return DialUnreachable
	default:
		return DialUnclear
	}
}

// IsNoRoute reports whether a dial failed only because this machine has no route to an IPv4 address. It
// is DialUnreachable, but says little of the peer: a machine that has lost its uplink says the same of
// every address, as long as that lasts. A router far away can say it too, by ICMP, of a network that
// is gone, or in place of somebody else. So the routes of this machine are looked up; nothing is sent.
func IsNoRoute(err error) bool {
	return ClassifyDial(err) == DialUnreachable && !isAny(err, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.EHOSTDOWN) &&
		saysOfIPv4(err, syscall.ENETUNREACH, func(from, to net.IP) bool { return to == nil || !hasRoute(from, to) })
}

// isOutOfPorts reports whether the system had no free port for a dial.
func isOutOfPorts(err error) bool {
	return saysOfIPv4(err, syscall.EADDRNOTAVAIL, func(net.IP, net.IP) bool { return true })
}

// hasRoute reports whether a route of this machine leads to the IPv4 address, from that one unless it
// is nil. To connect a UDP socket takes a look at the routes, and sends nothing.
func hasRoute(from, to net.IP) bool {
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: from.To4()}, &net.UDPAddr{IP: to, Port: 9}) // any port
	if err != nil {
		return false
	}
	_ = conn.Close()

	return true
}

// saysOfIPv4 reports whether the system has answered so for an IPv4 address for which it holds, or for
// one that is not known, which is nil. A machine without IPv6 does of every IPv6 address, which is no
// reason to think less of what others have found.
func saysOfIPv4(err error, errno syscall.Errno, holds func(from, to net.IP) bool) bool {
	says := func(err error) bool { return saysOfIPv4(err, errno, holds) }
	switch e := err.(type) {
	case *net.OpError:
		to := ipOf(e.Addr)

		return errors.Is(e.Err, errno) && (to == nil || to.To4() != nil) && holds(ipOf(e.Source), to)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), says)
	case interface{ Unwrap() error }:
		return says(e.Unwrap())
	default:
		return err == errno
	}
}

// ipOf returns the IP of a TCP or UDP address, or nil.
func ipOf(addr net.Addr) net.IP {
	switch addr := addr.(type) {
	case *net.TCPAddr:
		return addr.IP
	case *net.UDPAddr:
		return addr.IP
	default:
		return nil
	}
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}
