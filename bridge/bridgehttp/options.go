package bridgehttp

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// minToken is the least length of a token, in bytes.
const minToken = 16

// Source is the bridge that a Server shows. *bridge.Bridge is one.
type Source interface {
	// Status returns a snapshot. It is called for each request and may be called at any time.
	Status() bridge.Status
	// What the token allows:
	Connect(side string, addr types.NetAddress) error
	Block(id types.ID) error
	Unblock(id types.ID) bool
	Forget(id types.ID) error
}

var _ Source = (*bridge.Bridge)(nil)

// Option configures a Server.
type Option func(*options)

type options struct {
	token    string
	hosts    map[string]bool
	pprof    bool
	logger   *slog.Logger
	level    *slog.LevelVar
	version  string
	listen   Listen
	gatherer prometheus.Gatherer
	errs     []error
}

func defaults() options {
	return options{logger: slog.New(slog.DiscardHandler), hosts: make(map[string]bool), gatherer: prometheus.NewRegistry()}
}

// WithToken allows control to those who send the token, of at least 16 bytes, as
// "Authorization: Bearer TOKEN". Without it nobody has control.
func WithToken(token string) Option {
	return func(o *options) {
		o.token = token
		if len(token) < minToken {
			o.errs = append(o.errs, fmt.Errorf("%w: WithToken: it has %d bytes, at least %d are needed",
				compat.ErrInvalidOption, len(token), minToken))
		}
	}
}

// WithHosts allows requests whose Host is one of the names, as a reverse proxy sends them.
// Requests with an IP address, or localhost, are always allowed.
func WithHosts(names ...string) Option {
	return func(o *options) {
		for _, name := range names {
			o.hosts[strings.ToLower(name)] = true
		}
	}
}

// WithPprof serves the profiles of the process at /debug/pprof/.
func WithPprof() Option { return func(o *options) { o.pprof = true } }

// WithLogger logs what operators change. Without it nothing is logged.
func WithLogger(logger *slog.Logger) Option { return func(o *options) { o.logger = logger } }

// WithLogLevel lets operators change the level while the program runs.
func WithLogLevel(level *slog.LevelVar) Option { return func(o *options) { o.level = level } }

// WithVersion tells the version of the program in reports.
func WithVersion(version string) Option { return func(o *options) { o.version = version } }

// WithListen tells in reports where nodes dial the bridge.
func WithListen(listen Listen) Option { return func(o *options) { o.listen = listen } }

// WithGatherer adds metrics to those of the bridge, such as libp2p's.
func WithGatherer(g prometheus.Gatherer) Option { return func(o *options) { o.gatherer = g } }
