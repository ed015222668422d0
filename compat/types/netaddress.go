package types

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

const (
	maxAddressLen = 1024 // bytes; the longest host name has 253, an ID 40
	nilNetAddress = "<nil-NetAddress>"
)

// Errors of addresses. All are returned wrapped.
var (
	ErrInvalidTCPAddress = errors.New("invalid TCP address")
	ErrUnsetIPAddress    = errors.New("unset IP address")
	ErrInvalidIP         = errors.New("invalid IP address")
	ErrUnspecifiedIP     = errors.New("unspecified IP address")
	ErrInvalidNetAddress = errors.New("invalid net address")
	ErrEmptyHost         = errors.New("empty host")
	ErrEmptyLookupResult = errors.New("host name has no IP address")
	ErrHostnameNotIP     = errors.New("host is a name, not an IP address")
)

// NetAddress says who can be dialed where. Its text form is id@ip:port
// (docs/wire.md §4.2).
type NetAddress struct {
	ID   ID     `json:"id"`   // who; empty when unknown
	IP   net.IP `json:"ip"`   // where; nil only while Hostname is unresolved
	Port uint16 `json:"port"` // TCP port

	// Hostname is the configured name that IP was resolved from. DialContext resolves it
	// again. It is not told to peers.
	Hostname string `json:"-"`
}

// NetAddressString returns id@hostPort. A scheme in front of hostPort is dropped.
func NetAddressString(id ID, protocolHostPort string) string {
	return id.String() + "@" + cutScheme(protocolHostPort)
}

// NewNetAddress returns the address of peer id at a TCP address. It returns
// [ErrInvalidTCPAddress] for any other kind of address and [ErrInvalidID] for an
// invalid id. The IP is copied.
func NewNetAddress(id ID, addr net.Addr) (*NetAddress, error) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp == nil {
		return nil, fmt.Errorf("%w: %v", ErrInvalidTCPAddress, addr)
	}

	if tcp.Port < 0 || tcp.Port > 0xffff {
		return nil, fmt.Errorf("%w: port %d", ErrInvalidTCPAddress, tcp.Port)
	}

	if err := id.Validate(); err != nil {
		return nil, err
	}

	na := NewNetAddressFromIPPort(slices.Clone(tcp.IP), uint16(tcp.Port))
	na.ID = id

	return na, nil
}

// NewNetAddressFromIPPort returns an address without id. It keeps ip.
func NewNetAddressFromIPPort(ip net.IP, port uint16) *NetAddress {
	return &NetAddress{IP: ip, Port: port}
}

// ParseNetAddress parses id@ip:port, IPv6 in brackets. It resolves no names, so it is
// safe for what a remote sends.
//
// Errors: [ErrInvalidNetAddress], [ErrInvalidID], [ErrEmptyHost], or
// [ErrHostnameNotIP] for a host name.
func ParseNetAddress(idaddr string) (*NetAddress, error) {
	na, err := parseAddress(idaddr)
	if err != nil {
		return nil, err
	}

	if na.Hostname != "" {
		return nil, fmt.Errorf("%w: %q", ErrHostnameNotIP, na.Hostname)
	}

	return na, nil
}

// parseAddress parses id@host:port. Of IP and Hostname it sets exactly one.
func parseAddress(idaddr string) (*NetAddress, error) {
	if len(idaddr) > maxAddressLen {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrInvalidNetAddress, maxAddressLen)
	}

	idStr, hostPort, ok := strings.Cut(cutScheme(idaddr), "@")
	if !ok || strings.Contains(hostPort, "@") {
		return nil, fmt.Errorf("%w: %q is not id@host:port", ErrInvalidNetAddress, idaddr)
	}

	id := ID(idStr)
	if err := id.Validate(); err != nil {
		return nil, err
	}

	host, portStr, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalidNetAddress, err)
	}

	if host == "" {
		return nil, fmt.Errorf("%w in %q", ErrEmptyHost, idaddr)
	}

	port, err := strconv.ParseUint(portStr, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: port: %w", ErrInvalidNetAddress, err)
	}

	na := NewNetAddressFromIPPort(net.ParseIP(host), uint16(port))
	na.ID = id

	if na.IP == nil {
		na.Hostname = host
	}

	return na, nil
}

// cutScheme drops "scheme://" in front of an address.
func cutScheme(addr string) string {
	if _, rest, ok := strings.Cut(addr, "://"); ok {
		return rest
	}

	return addr
}

// String returns id@ip:port, or ip:port without an id. The host name appears
// only while there is no IP.
func (na *NetAddress) String() string {
	if na == nil {
		return nilNetAddress
	}

	if na.ID == "" {
		return na.DialString()
	}

	return NetAddressString(na.ID, na.DialString())
}

// DialString returns ip:port, the IP in canonical form, IPv6 in brackets. While
// there is no IP it returns host:port.
func (na *NetAddress) DialString() string {
	if na == nil {
		return nilNetAddress
	}

	host := na.Hostname
	if na.IP != nil {
		host = na.IP.String()
	}

	return joinHostPort(host, na.Port)
}

func joinHostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
}

// Equals reports whether both addresses have the same ID, IP and port.
func (na *NetAddress) Equals(other NetAddress) bool {
	return na.String() == other.String()
}

// Same reports whether both addresses have the same non-empty ID, or the same
// IP and port.
func (na *NetAddress) Same(other NetAddress) bool {
	return na != nil && ((na.ID != "" && na.ID == other.ID) || na.DialString() == other.DialString())
}

// Validate checks that the address can be dialed: its ID is valid, and its IP is set, not
// unspecified, not the IPv4 broadcast address and not in the IPv6 documentation range. It
// returns [ErrUnsetIPAddress] for a host name that is not resolved, although DialContext can
// dial that address.
func (na *NetAddress) Validate() error {
	switch err := na.validateFormat(); {
	case err != nil:
		return err
	case na.IP.IsUnspecified():
		return fmt.Errorf("%w: %s", ErrUnspecifiedIP, na.IP)
	case na.RFC3849(), na.IP.Equal(net.IPv4bcast):
		return fmt.Errorf("%w: %s cannot be dialed", ErrInvalidIP, na.IP)
	default:
		return nil
	}
}

// validateFormat checks that the address has a text form that peers accept.
func (na *NetAddress) validateFormat() error {
	if na == nil {
		return fmt.Errorf("%w: missing", ErrInvalidNetAddress)
	}
	switch err := na.ID.Validate(); {
	case err != nil:
		return err
	case na.IP == nil:
		return ErrUnsetIPAddress
	case len(na.IP) != net.IPv4len && len(na.IP) != net.IPv6len:
		return fmt.Errorf("%w: %d bytes", ErrInvalidIP, len(na.IP))
	default:
		return nil
	}
}

// DialContext opens a TCP connection to the address. It resolves a configured host name
// again and tries all its addresses. Only ctx bounds the time of look-up and dial.
func (na *NetAddress) DialContext(ctx context.Context) (net.Conn, error) {
	switch {
	case na == nil:
		return nil, fmt.Errorf("%w: missing", ErrInvalidNetAddress)
	case na.Hostname == "" && na.IP == nil:
		return nil, ErrUnsetIPAddress
	}
	target := na.DialString()
	if na.Hostname != "" {
		target = joinHostPort(na.Hostname, na.Port)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, fmt.Errorf("unable to dial address: %w", err)
	}

	return conn, nil
}
