package dropin

import (
	"fmt"

	gnoservice "github.com/gnolang/gno/tm2/pkg/service"

	"github.com/tm2-libp2p/tm2-libp2p/compat/service"
)

// fromService implements our Service with gno's. Methods with the same signature are
// promoted.
type fromService struct{ gnoservice.Service }

var _ service.Service = fromService{}

// FromService converts a service from gno's type. Reset returns service.ErrNoReset when
// gno's Reset panics, as it does by default.
func FromService(s gnoservice.Service) service.Service { return fromService{Service: s} }

func (s fromService) Start() error { return fromServiceError(s.Service.Start()) }

func (s fromService) Stop() error { return fromServiceError(s.Service.Stop()) }

func (s fromService) Reset() (err error) {
	if s.IsRunning() {
		return service.ErrAlreadyStarted
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", service.ErrNoReset, r)
		}
	}()

	return fromServiceError(s.Service.Reset())
}
