package types

import (
	"context"
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

// NewNetAddressFromString parses id@host:port and reads the ID as [ParseID] does. It
// resolves a host name within 3 s and keeps it in Hostname. Use [ParseNetAddress] for an
// address that a remote sent.
//
// Errors: those of ParseNetAddress except [ErrHostnameNotIP];
// [ErrEmptyLookupResult]; the error of the look-up.
func NewNetAddressFromString(idaddr string) (*NetAddress, error) {
	return resolveAddress(net.DefaultResolver, idaddr)
}

// NewConfiguredNetAddress is NewNetAddressFromString for a peer in the node's
// configuration: if the name does not resolve, the address has no IP and there is no error.
// DialContext resolves the name at every dial.
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
	na, err := parseConfigured(idaddr)
	if err == nil && na.Hostname != "" {
		na.IP, _ = lookup(r, na.Hostname) // each dial resolves the name again
	}

	return na, err
}

func resolveAddresses(r resolver, idaddrs []string) (addrs []*NetAddress, errs []error) {
	results := make([]*NetAddress, len(idaddrs))
	failures := make([]error, len(idaddrs))
	var group errgroup.Group
	group.SetLimit(maxLookups)
	for i, idaddr := range idaddrs {
		group.Go(func() error {
			results[i], failures[i] = resolveAddress(r, idaddr)

			return nil
		})
	}
	_ = group.Wait() // the functions report through failures
	for i, err := range failures {
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", idaddrs[i], err))

			continue
		}
		addrs = append(addrs, results[i])
	}

	return addrs, errs
}

// lookup returns the first IP of a host name.
func lookup(r resolver, host string) (net.IP, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	addrs, err := r.LookupIPAddr(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = fmt.Errorf("%w: %q", ErrEmptyLookupResult, host)
	}
	if err != nil {
		return nil, fmt.Errorf("unable to look up IP: %w", err)
	}

	return addrs[0].IP, nil
}
