// Package dialnames dials host names that have several addresses: each of them, until the
// node that was asked for answers.
package dialnames

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxAddresses is how many addresses of one host name are dialed.
const maxAddresses = 16

// Resolve returns the addresses of both families behind the host name of the address, in
// the resolver's order and at most 16, or the address itself if it has no host name. It
// takes at most half of the time that the context leaves.
func Resolve(ctx context.Context, addr types.NetAddress) ([]types.NetAddress, error) {
	if addr.Hostname == "" {
		return []types.NetAddress{addr}, nil
	}
	ctx, cancel := share(ctx, 2)
	defer cancel()
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip", addr.Hostname)
	if err != nil {
		return nil, err
	}
	addrs := make([]types.NetAddress, min(len(ips), maxAddresses))
	for i := range addrs {
		addrs[i] = types.NetAddress{ID: addr.ID, IP: ips[i], Port: addr.Port}
	}

	return addrs, nil
}

// admissionKey is that of the compat.DialAdmission in a context.
type admissionKey struct{}

// WithAdmission returns a context with which Each and Dial ask the behavior about each IP, if it is
// a compat.DialAdmission, and connect to none that it refuses.
func WithAdmission(ctx context.Context, behavior compat.PeerBehavior) context.Context {
	admission, ok := behavior.(compat.DialAdmission)
	if !ok {
		return ctx
	}

	return context.WithValue(ctx, admissionKey{}, admission)
}

// Each dials the addresses of one peer in turn until one succeeds, the peer itself has
// refused (compat.DialFailure.Answered), or the context ends. It passes over an IP that this node
// bans: the admission of the context says so before the dial, or the error of dial does. The time
// that the context leaves is divided evenly among the addresses that are left. The error is that
// of MoreTelling.
func Each[T any](
	ctx context.Context, addrs []types.NetAddress, dial func(context.Context, types.NetAddress) (T, error),
) (found T, failed error) {
	for i, addr := range addrs {
		found, err := within(ctx, len(addrs)-i, addr, dial)
		if err == nil {
			return found, nil
		}
		failed = MoreTelling(failed, err)
		if ctx.Err() != nil || compat.ClassifyDial(err).Answered() && !banned(err) {
			break
		}
	}

	return found, failed
}

// banned reports whether this node did not dial at all since it bans an IP: the peer may
// have others.
func banned(err error) bool {
	var reject *compat.RejectError

	return errors.As(err, &reject) && reject.Code == compat.RejectBanned && !reject.Remote
}

// Dial is Resolve, and Each of the addresses.
func Dial[T any](
	ctx context.Context, addr types.NetAddress, dial func(context.Context, types.NetAddress) (T, error),
) (T, error) {
	addrs, err := Resolve(ctx, addr)
	if err != nil {
		var none T

		return none, err
	}

	return Each(ctx, addrs, dial)
}

// within dials within an equal share of the context's time. left counts the addresses that
// have yet to be dialed, this one among them.
func within[T any](
	ctx context.Context, left int, addr types.NetAddress, dial func(context.Context, types.NetAddress) (T, error),
) (T, error) {
	if admission, ok := ctx.Value(admissionKey{}).(compat.DialAdmission); ok {
		if err := admission.AdmitDial(addr.IP); err != nil {
			var none T

			return none, fmt.Errorf("%s: %w", addr.DialString(), err)
		}
	}
	ctx, cancel := share(ctx, left)
	defer cancel()

	return dial(ctx, addr)
}

// share returns a context with one of several equal parts of the time that is left.
func share(ctx context.Context, parts int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || parts == 1 {
		return context.WithCancel(ctx)
	}

	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(parts))
}

// MoreTelling joins the failures at two addresses of a host name; the first one may be nil.
// Only the one that tells more about the peer is wrapped, so that it alone is classified:
// its own answer first, then a transient failure, since the peer may still be there, then
// that another node answers, or none, and last that this node bans the IP.
func MoreTelling(a, b error) error {
	if a == nil {
		return b
	}
	if rank(b) > rank(a) {
		a, b = b, a
	}

	return fmt.Errorf("%w; %v", a, b)
}

func rank(err error) int {
	switch failure := compat.ClassifyDial(err); {
	case banned(err):
		return -1
	case failure.Answered():
		return 3
	case failure == compat.DialUnreachable:
		return 0
	case failure == compat.DialWrongID, failure == compat.DialForeign, failure == compat.DialNotTM2:
		return 1
	default:
		return 2
	}
}
