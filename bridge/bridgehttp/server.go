package bridgehttp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

const (
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = time.Minute
	maxHeaderBytes = 16 << 10
	maxConns       = 64
	// shutdownTimeout is how long Close waits for requests under way.
	shutdownTimeout = time.Second
)

// Server serves the pages of one bridge. All methods may be called concurrently.
type Server struct {
	source  Source
	options options
	history *recorder
	handler http.Handler

	stop  context.CancelFunc
	owned sync.WaitGroup

	mtx    sync.Mutex
	closed bool
	inner  *http.Server // nil before Serve
}

// New returns a server for the bridge. It takes a sample of the bridge every few seconds
// until Close.
func New(source Source, opts ...Option) (*Server, error) {
	s := &Server{source: source, options: defaults(), history: &recorder{}}
	for _, opt := range opts {
		opt(&s.options)
	}
	if err := errors.Join(s.options.errs...); err != nil {
		return nil, err
	}
	if err := s.route(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.owned.Go(func() { s.history.run(ctx, source) })

	return s, nil
}

// ServeHTTP implements http.Handler, without the limits of Serve.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Serve answers on the listener until Close, and then returns nil. It may be called once.
func (s *Server) Serve(listener net.Listener) error {
	inner := &http.Server{
		Handler: s, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.options.logger.Handler(), slog.LevelDebug),
	}
	s.mtx.Lock()
	if s.closed || s.inner != nil {
		s.mtx.Unlock()

		return errors.Join(http.ErrServerClosed, listener.Close())
	}
	s.inner = inner
	s.mtx.Unlock()
	if err := inner.Serve(netutil.LimitListener(listener, maxConns)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("HTTP server: %w", err)
	}

	return nil
}

// Close stops sampling and serving. Requests under way get a second to end.
func (s *Server) Close() error {
	s.stop()
	s.owned.Wait()
	s.mtx.Lock()
	inner := s.inner
	s.closed = true
	s.mtx.Unlock()
	if inner == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := inner.Shutdown(ctx); err != nil {
		return inner.Close()
	}

	return nil
}
