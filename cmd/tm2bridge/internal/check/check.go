// Package check tries what a bridge needs before it starts: its files, its ports, its clock,
// the host names and the nodes of its configuration. It reports one line for each, with the
// cure beside each fault.
package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// The verdicts of lines.
const (
	OK    = "ok"
	Note  = "note"  // nothing is wrong, but the operator should know it
	Fault = "fault" // the bridge cannot start, or a node cannot be joined
)

// DefaultTimeout bounds what is tried at one host name or node.
const DefaultTimeout = 5 * time.Second

// Line is what was found about one thing.
type Line struct {
	Verdict string `json:"verdict"`
	Subject string `json:"subject"`
	Text    string `json:"text"`           // may hold what a remote has said: escape it
	Cure    string `json:"cure,omitempty"` // of a fault
}

// Options says what to check.
type Options struct {
	Home      string
	Overrides []config.Override
	Timeout   time.Duration // for each host name and node
	// IsRunning reports whether the bridge with the ID runs already and has the ports.
	IsRunning func(types.ID) bool
}

// run is one check.
type run struct {
	Options
	emit func(Line)

	config *config.Config
	key    *types.NodeKey
	bridge bridge.Config
}

// Run checks everything and passes each line to emit, from one goroutine, in the order in
// which an operator reads them. It returns how many faults there are. What depends on a thing
// that is at fault is left out.
func Run(ctx context.Context, opts Options, emit func(Line)) (faults int) {
	r := &run{Options: opts, emit: func(l Line) {
		if l.Verdict == Fault {
			faults++
		}
		emit(l)
	}}
	if !r.files() {
		return faults
	}
	r.ports(ctx)
	r.reach()
	r.clock()
	r.peers(ctx)

	return faults
}

func (r *run) ok(subject, format string, args ...any) {
	r.emit(Line{Verdict: OK, Subject: subject, Text: fmt.Sprintf(format, args...)})
}

func (r *run) note(subject, format string, args ...any) {
	r.emit(Line{Verdict: Note, Subject: subject, Text: fmt.Sprintf(format, args...)})
}

func (r *run) fault(subject, cure, format string, args ...any) {
	r.emit(Line{Verdict: Fault, Subject: subject, Text: fmt.Sprintf(format, args...), Cure: cure})
}

// files checks the files of the home and reports whether the rest can be checked.
func (r *run) files() bool {
	initCure := "tm2bridge init --home " + r.Home
	cfg, warnings, err := config.Load(config.Path(r.Home), r.Overrides...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.fault("config", initCure, "there is no %s", config.Path(r.Home))
	case err != nil:
		r.fault("config", "mend the line, see docs/configuration.md", "%v", err)
	default:
		r.ok("config", "%s", config.Path(r.Home))
	}
	for _, warning := range warnings {
		r.note("config", "%s", warning)
	}
	key, keyErr := types.LoadNodeKey(config.NodeKeyPath(r.Home))
	switch {
	case errors.Is(keyErr, fs.ErrNotExist):
		r.fault("node key", initCure, "there is no %s", config.NodeKeyPath(r.Home))
	case errors.Is(keyErr, types.ErrExposedNodeKey):
		r.fault("node key", fmt.Sprintf("chmod 600 %q", config.NodeKeyPath(r.Home)), "%v", keyErr)
	case keyErr != nil:
		r.fault("node key", "restore the file from your backup; a new key is a new identity", "%v", keyErr)
	default:
		r.ok("node key", "%s has the ID %s", config.NodeKeyPath(r.Home), key.ID())
	}
	if err != nil || keyErr != nil {
		return false
	}
	if cfg.HTTP.ListenAddress != "" {
		switch _, err := config.ReadToken(r.Home); {
		case errors.Is(err, fs.ErrNotExist):
			r.ok("token", "the start makes %s", config.TokenPath(r.Home))
		case err != nil:
			r.fault("token", fmt.Sprintf("chmod 600 %q, or remove it", config.TokenPath(r.Home)), "%v", err)
		default:
			r.ok("token", "%s", config.TokenPath(r.Home))
		}
	}
	r.config, r.key = cfg, key
	if r.bridge, err = cfg.ForBridge(key.ID()); err != nil {
		r.fault("config", "mend the key, see docs/configuration.md", "%v", err)

		return false
	}
	if _, err := bridge.New(*key, r.bridge, nil); err != nil {
		r.fault("config", "mend the key, see docs/configuration.md", "%v", err)

		return false
	}

	return true
}
