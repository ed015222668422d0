package program

import (
	"encoding/json"
	"io"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// Reporter writes events one at a time. It blocks its callers while the output is not read,
// so that no event is lost. It may be used concurrently.
type Reporter struct {
	mtx sync.Mutex
	enc *json.Encoder
	err error
}

func newReporter(w io.Writer) *Reporter { return &Reporter{enc: json.NewEncoder(w)} }

// Report writes the event, unless writing has failed before.
func (r *Reporter) Report(e protocol.Event) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	if r.err == nil {
		r.err = r.enc.Encode(e)
	}
}

// Err returns the first error of writing.
func (r *Reporter) Err() error {
	r.mtx.Lock()
	defer r.mtx.Unlock()

	return r.err
}
