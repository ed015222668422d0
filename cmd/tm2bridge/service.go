package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/sdnotify"
	"github.com/tm2-libp2p/tm2-libp2p/internal/tomlvalue"
)

// stopTimeout is how long a bridge may take to stop. systemd and container runtimes kill
// after 10 s at the earliest.
const stopTimeout = 5 * time.Second

// service is a bridge as a process runs it: with its configuration, its log and its HTTP port.
type service struct {
	home      string
	overrides []config.Override
	out, log  io.Writer

	config   *config.Config
	logger   *slog.Logger
	level    *slog.LevelVar
	registry *prometheus.Registry
	bridge   *bridge.Bridge

	server   *bridgehttp.Server // nil without [http].laddr
	httpAddr string
	serving  sync.WaitGroup
	reading  sync.WaitGroup // a configuration anew
	failed   chan error     // of the HTTP server
}

// run runs the bridge until the context ends. SIGHUP reloads the configuration.
func (s *service) run(ctx context.Context) error {
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	if err := s.load(); err != nil {
		return err
	}
	if err := s.bridge.Start(); err != nil {
		return cli.WithStatus(exitListen, err)
	}
	err := s.serve()
	if err == nil {
		err = printBridge(s.out, s.bridge, s.httpAddr)
	}
	if err == nil {
		s.notify(sdnotify.Ready, sdnotify.Status("ready"))
		err = s.wait(ctx, hangUp)
	}
	s.notify(sdnotify.Stopping)

	return errors.Join(err, s.stop())
}

// load makes the bridge from the home directory. It does not start the bridge.
func (s *service) load() (err error) {
	var warnings []string
	if s.config, warnings, err = loadConfig(s.home, s.overrides); err != nil {
		return err
	}
	if s.logger, s.level, err = newServiceLogger(s.log, s.config.Log); err != nil {
		return cli.WithStatus(exitConfig, err)
	}
	s.warn(warnings)
	key, err := loadKey(s.home)
	if err != nil {
		return err
	}
	cfg, err := s.config.ForBridge(key.ID())
	if err != nil {
		return cli.WithStatus(exitConfig, fmt.Errorf("%s: %w", config.Path(s.home), err))
	}
	s.warnAboutPeers(cfg)
	s.registry = prometheus.NewRegistry()
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	cfg.Registerer, cfg.AddrBook = s.registry, config.AddrBookPath(s.home)
	s.bridge, err = bridge.New(*key, cfg, s.logger)

	return cli.WithStatus(exitConfig, err)
}

func (s *service) warn(warnings []string) {
	for _, warning := range warnings {
		s.logger.Warn("configuration", "file", config.Path(s.home), "warning", warning)
	}
}

func (s *service) warnAboutPeers(cfg bridge.Config) {
	if len(cfg.Libp2pPeers) == 0 {
		until := ""
		if !cfg.OnlyConfigured {
			until = " until a libp2p peer has dialed it"
		}
		s.logger.Warn("[bridge].libp2p_peers is empty: native peers that dial the bridge will be refused" + until)
	}
	if len(cfg.NativePeers) == 0 {
		s.logger.Info("[p2p].persistent_peers is empty: libp2p peers that dial the bridge will be refused")
	}
}

// serve opens the HTTP port, if one is configured.
func (s *service) serve() error {
	s.failed = make(chan error, 1)
	if s.config.HTTP.ListenAddress == "" {
		return nil
	}
	token, err := config.Token(s.home)
	if err != nil {
		return cli.WithStatus(exitConfig, err)
	}
	listener, err := net.Listen("tcp", strings.TrimPrefix(s.config.HTTP.ListenAddress, "tcp://"))
	if err != nil {
		return cli.WithStatus(exitListen, fmt.Errorf("[http].laddr: %w", err))
	}
	s.httpAddr = listener.Addr().String()
	if at, ok := listener.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		s.logger.Warn("[http].laddr is no loopback address: who reaches the port can read the status and the metrics", "address", at)
	}
	opts := []bridgehttp.Option{
		bridgehttp.WithToken(token), bridgehttp.WithHosts(tomlvalue.SplitList(s.config.HTTP.Hosts)...), bridgehttp.WithLogger(s.logger),
		bridgehttp.WithLogLevel(s.level), bridgehttp.WithVersion(cli.Version()), bridgehttp.WithListen(listenOf(s.bridge)),
		bridgehttp.WithGatherer(s.registry),
	}
	if s.config.HTTP.Pprof {
		opts = append(opts, bridgehttp.WithPprof())
	}
	if s.server, err = bridgehttp.New(s.bridge, opts...); err != nil {
		return errors.Join(err, listener.Close())
	}
	s.serving.Go(func() {
		if err := s.server.Serve(listener); err != nil {
			s.failed <- err
		}
	})

	return nil
}

func listenOf(b *bridge.Bridge) (listen bridgehttp.Listen) {
	for _, identity := range b.NativeAddresses() {
		for _, at := range reachable(identity) {
			listen.Native = append(listen.Native, at.String())
		}
	}
	for _, at := range reachable(b.Libp2pAddress()) {
		listen.Libp2p = append(listen.Libp2p, at.String())
	}
	for _, m := range b.Multiaddrs() {
		listen.Multiaddrs = append(listen.Multiaddrs, m.String())
	}

	return listen
}

// wait serves signals and the watchdog until the context ends or the HTTP server fails.
func (s *service) wait(ctx context.Context, hangUp <-chan os.Signal) error {
	var watchdog <-chan time.Time
	if interval := sdnotify.Interval(); interval > 0 {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		watchdog = ticker.C
	}
	read, asked := make(chan reread, 1), hangUp
	for {
		select {
		case <-ctx.Done():
			s.logger.Info("stopping", "reason", context.Cause(ctx))

			return nil
		case err := <-s.failed:
			return err
		case <-asked:
			asked = nil                               // one at a time
			s.reading.Go(func() { read <- s.read() }) // it may wait for host names, which delays no stop
		case r := <-read:
			asked = hangUp
			if err := s.apply(r); err != nil {
				s.logger.Error("configuration not reloaded, the former one still counts", "err", err)
			}
		case <-watchdog:
			// A status takes every lock of the bridge, so that a bridge that hangs is not kept alive.
			s.notify(sdnotify.Watchdog, sdnotify.Status(bridgehttp.Judge(s.bridge.Status()).Reason))
		}
	}
}

func (s *service) notify(states ...string) {
	if err := sdnotify.Notify(states...); err != nil {
		s.logger.Warn("systemd was not notified", "err", err)
	}
}

// reread is a configuration that was read anew.
type reread struct {
	config   *config.Config
	bridge   bridge.Config
	level    slog.Level
	warnings []string
	err      error
}

// read reads the configuration anew, and changes nothing.
func (s *service) read() (r reread) {
	if r.config, r.warnings, r.err = loadConfig(s.home, s.overrides); r.err != nil {
		return r
	}
	if r.level, r.err = r.config.Log.SlogLevel(); r.err != nil {
		return r
	}
	r.bridge, r.err = r.config.ForBridge(s.bridge.NativeAddress().ID)

	return r
}

// apply takes over what may change while the bridge runs.
func (s *service) apply(r reread) error {
	if r.err != nil {
		return r.err
	}
	if err := s.bridge.Reload(r.bridge); err != nil {
		return err
	}
	s.warn(r.warnings)
	if later := config.AtNextStart(s.config, r.config); len(later) > 0 {
		s.logger.Warn("keys have changed that count at the next start", "keys", strings.Join(later, ", "))
	}
	s.level.Set(r.level)
	s.logger.Info("configuration reloaded", "file", config.Path(s.home))

	return nil
}

// stop ends the HTTP server and the bridge, which sends what it has taken, within stopTimeout. It
// waits as long at most for a configuration that is being read, since look-ups of host names end by
// themselves.
func (s *service) stop() error {
	stopped, read, timeout := make(chan error, 1), make(chan struct{}), time.After(stopTimeout)
	go func() { // when it does not end in time, the process does
		var err error
		if s.server != nil {
			err = s.server.Close()
			s.serving.Wait()
		}
		stopped <- errors.Join(err, s.bridge.Stop())
		s.reading.Wait()
		close(read)
	}()
	select {
	case err := <-stopped:
		select {
		case <-read:
		case <-timeout:
		}

		return err
	case <-timeout:
		return cli.WithStatus(exitStop, fmt.Errorf("%w, %v", errStop, stopTimeout))
	}
}
