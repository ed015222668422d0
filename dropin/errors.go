package dropin

import (
	"errors"

	gnoservice "github.com/gnolang/gno/tm2/pkg/service"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// gnoTransportClosed is the text of gno's error for a closed transport. gno does not export
// the error.
const gnoTransportClosed = "transport is closed"

// serviceErrors pairs the sentinels of both service packages.
var serviceErrors = [...]struct{ ours, gno error }{
	{service.ErrAlreadyStarted, gnoservice.ErrAlreadyStarted},
	{service.ErrAlreadyStopped, gnoservice.ErrAlreadyStopped},
	{service.ErrNotStarted, gnoservice.ErrNotStarted},
}

// translated is an error that also matches a sentinel of the other side.
type translated struct {
	error
	sentinel error
}

func (t translated) Unwrap() []error { return []error{t.error, t.sentinel} }

func translate(err, sentinel error) error {
	if errors.Is(err, sentinel) {
		return err
	}

	return translated{error: err, sentinel: sentinel}
}

// serviceError converts an error of a service to gno's. A sentinel becomes gno's own, so
// that callers can compare it by ==.
func serviceError(err error) error {
	for _, pair := range serviceErrors {
		switch {
		case err == pair.ours:
			return pair.gno
		case errors.Is(err, pair.ours):
			return translate(err, pair.gno)
		}
	}

	return err
}

// fromServiceError converts an error of a service from gno's, likewise.
func fromServiceError(err error) error {
	for _, pair := range serviceErrors {
		switch {
		case err == pair.gno:
			return pair.ours
		case errors.Is(err, pair.gno):
			return translate(err, pair.ours)
		}
	}

	return err
}

// fromTransportError converts an error of a transport from gno's.
func fromTransportError(err error) error {
	if err != nil && err.Error() == gnoTransportClosed {
		return translate(err, compat.ErrTransportClosed)
	}

	return err
}
