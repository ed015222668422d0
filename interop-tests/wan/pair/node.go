package pair

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster/child"
)

// The roles of the processes.
const (
	listenerRole = "wan-listener"
	dialerRole   = "wan-dialer"
)

// markTaken is the signal with which the parent tells the dialer that it has taken a mark.
const markTaken = syscall.SIGUSR1

// Roles returns the roles of child processes that this package needs (child.Main).
func Roles() map[string]child.Role {
	return map[string]child.Role{listenerRole: runListener, dialerRole: runDialer}
}

// event is a line that a node says to its parent. One of the fields is set.
type event struct {
	Listening bool      `json:",omitempty"`
	Mark      *mark     `json:",omitempty"` // the dialer is there
	Received  *received `json:",omitempty"` // what the listener got in the measured window
	Sent      *sent     `json:",omitempty"` // the dialer has ended its plan
	Failed    string    `json:",omitempty"`
}

// runListener is the main function of the process that receives.
func runListener(ctx context.Context, specification json.RawMessage, say func(string)) error {
	return run(ctx, specification, say, func(ctx context.Context, spec nodeSpec, tell func(event), lost func(error)) (endpoint, error) {
		r := &receiver{tell: tell}
		e, err := open(ctx, spec, r.on, lost)
		if err == nil {
			tell(event{Listening: true})
		}

		return e, err
	})
}

// runDialer is the main function of the process that sends.
func runDialer(ctx context.Context, specification json.RawMessage, say func(string)) error {
	return run(ctx, specification, say, func(ctx context.Context, spec nodeSpec, tell func(event), lost func(error)) (endpoint, error) {
		s := &sender{plan: spec.Plan, tell: tell, marked: make(chan int64, 1), goOn: make(chan os.Signal, 1)}
		signal.Notify(s.goOn, markTaken)
		defer signal.Stop(s.goOn)

		return s.run(ctx, spec, lost)
	})
}

// run runs a node until its parent closes its input. It reports the loss of the peer as a
// failure, which is not one of the process.
func run(
	ctx context.Context, specification json.RawMessage, say func(string),
	begin func(context.Context, nodeSpec, func(event), func(error)) (endpoint, error),
) error {
	var spec nodeSpec
	if err := json.Unmarshal(specification, &spec); err != nil {
		return err
	}
	tell := func(e event) {
		line, err := json.Marshal(e)
		if err != nil {
			panic(fmt.Sprintf("event %+v: %v", e, err)) // events are plain data
		}
		say(string(line))
	}
	whole := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lost := func(err error) {
		tell(event{Failed: err.Error()})
		cancel(err)
	}
	e, err := begin(ctx, spec, tell, lost)
	if err != nil && context.Cause(ctx) == nil {
		tell(event{Failed: err.Error()})
	}
	<-whole.Done()
	if e == nil {
		return nil
	}

	return e.close()
}

// parseEvent returns the event of a line. Other lines are failures: nodes say nothing else.
func parseEvent(line string) event {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		return event{Failed: fmt.Sprintf("unexpected output %q: %v", line, err)}
	}

	return e
}
