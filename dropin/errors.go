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

// The sides of serviceErrors.
const sideOurs, sideGno = 0, 1

// serviceErrors pairs the sentinels of both service packages.
var serviceErrors = [...][2]error{
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

// serviceError converts an error of a service to gno's.
func serviceError(err error) error { return convertServiceError(err, sideOurs, sideGno) }

// fromServiceError converts an error of a service from gno's.
func fromServiceError(err error) error { return convertServiceError(err, sideGno, sideOurs) }

// convertServiceError returns the other side's own sentinel for a sentinel, so that callers
// can compare it by ==.
func convertServiceError(err error, from, to int) error {
	for _, pair := range serviceErrors {
		switch {
		case err == pair[from]:
			return pair[to]
		case errors.Is(err, pair[from]):
			return translate(err, pair[to])
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
