package types

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// lookupTimeout bounds one name look-up. It equals TM2's dial timeout.
	lookupTimeout = 3 * time.Second

	// maxLookups is how many names are resolved at a time.
	maxLookups = 16
)

// resolver is the part of net.Resolver that is needed.
type resolver interface {
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
}

// NewNetAddressFromString parses id@host:port. A host name is resolved, which
// takes up to 3 s, and remembered in Hostname. The ID is read as by [ParseID]. Never use it for an address that
// a remote sent; see [ParseNetAddress].
//
// Errors: those of ParseNetAddress except [ErrHostnameNotIP];
// [ErrEmptyLookupResult]; the error of the look-up.
func NewNetAddressFromString(idaddr string) (*NetAddress, error) {
	return resolveAddress(net.DefaultResolver, idaddr)
}

// NewConfiguredNetAddress is NewNetAddressFromString for a peer in the node's
// configuration: a name that does not resolve is no error. The address then has
// no IP, and DialContext resolves the name at every dial.
func NewConfiguredNetAddress(idaddr string) (*NetAddress, error) {
	return configuredAddress(net.DefaultResolver, idaddr)
}

// NewNetAddressFromStrings returns the addresses that parse and resolve, in
// order, and one error for each of the others. Names are resolved 16 at a time,
// each within 3 s.
func NewNetAddressFromStrings(idaddrs []string) ([]*NetAddress, []error) {
	return resolveAddresses(net.DefaultResolver, idaddrs)
}

// parseConfigured parses an address that a person has written: its ID may have any
// form that [ParseID] reads. What a remote sends keeps its form, since peers compare it.
func parseConfigured(idaddr string) (*NetAddress, error) {
	na, err := parseAddress(idaddr)
	if err != nil {
		return nil, err
	}

	na.ID = na.ID.Canonical()

	return na, nil
}

func resolveAddress(r resolver, idaddr string) (*NetAddress, error) {
	na, err := parseConfigured(idaddr)
	if err != nil || na.Hostname == "" {
		return na, err
	}

	if na.IP, err = lookup(r, na.Hostname); err != nil {
		return nil, err
	}

	return na, nil
}

func configuredAddress(r resolver, idaddr string) (*NetAddress, error) {
	na, err := resolveAddress(r, idaddr)
	if _, unresolved := errors.AsType[*lookupError](err); unresolved {
		return parseConfigured(idaddr)
	}

	return na, err
}

func resolveAddresses(r resolver, idaddrs []string) ([]*NetAddress, []error) {
	var (
		results  = make([]*NetAddress, len(idaddrs))
		failures = make([]error, len(idaddrs))
		group    errgroup.Group
	)

	group.SetLimit(maxLookups)

	for i, idaddr := range idaddrs {
		group.Go(func() error {
			results[i], failures[i] = resolveAddress(r, idaddr)

			return nil
		})
	}

	_ = group.Wait() // the functions report through failures

	addrs := make([]*NetAddress, 0, len(idaddrs))
	errs := make([]error, 0, len(idaddrs))

	for i, err := range failures {
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", idaddrs[i], err))

			continue
		}

		addrs = append(addrs, results[i])
	}

	return addrs, errs
}

// lookupError marks a failed look-up, as opposed to a malformed address.
type lookupError struct{ err error }

func (e *lookupError) Error() string { return "unable to look up IP: " + e.err.Error() }
func (e *lookupError) Unwrap() error { return e.err }

// lookup returns the first IP of a host name.
func lookup(r resolver, host string) (net.IP, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()

	addrs, err := r.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, &lookupError{err}
	}

	if len(addrs) == 0 {
		return nil, &lookupError{fmt.Errorf("%w: %q", ErrEmptyLookupResult, host)}
	}

	return addrs[0].IP, nil
}
