package bridgehttp

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// policy allows the page its own files and nothing else: no inline script, no other site.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

//go:embed assets
var assets embed.FS

// route makes the handler of all paths.
func (s *Server) route() error {
	registry := prometheus.NewRegistry()
	if err := registry.Register(newCollector(s)); err != nil {
		return fmt.Errorf("metrics of the bridge: %w", err)
	}
	files, err := fs.Sub(assets, "assets")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{registry, s.options.gatherer}, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(s.options.logger.Handler(), slog.LevelWarn), MaxRequestsInFlight: 4,
	}))
	mux.Handle("GET /status", s.named(func(w http.ResponseWriter, _ *http.Request) { s.answer(w, s.Report()) }))
	mux.Handle("GET /history", s.named(func(w http.ResponseWriter, _ *http.Request) { s.answer(w, s.history.snapshot()) }))
	mux.Handle("POST /control/{action}", s.named(s.control))
	mux.Handle("GET /", s.named(http.FileServerFS(files).ServeHTTP))
	if s.options.pprof {
		mux.Handle("GET /debug/pprof/", s.named(unhurried(pprof.Index)))
		mux.Handle("GET /debug/pprof/profile", s.named(unhurried(pprof.Profile)))
		mux.Handle("GET /debug/pprof/trace", s.named(unhurried(pprof.Trace)))
		mux.Handle("GET /debug/pprof/cmdline", s.named(pprof.Cmdline))
		mux.Handle("GET /debug/pprof/symbol", s.named(pprof.Symbol))
	}
	s.handler = guarded(mux)

	return nil
}

// unhurried lifts the write timeout, which is shorter than a profile may take.
func unhurried(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
			http.Error(w, err.Error(), http.StatusInternalServerError)

			return
		}
		h(w, r)
	}
}

// guarded sets the headers that keep a browser from taking any answer for more than it is.
func guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if !s.source.Status().Running {
		http.Error(w, "the bridge does not run", http.StatusServiceUnavailable)

		return
	}
	s.text(w, "ok\n")
}

// readyz answers whether a node that dials could get a pair: from each side that is in use, or from
// the one that the query names, as in /readyz?side=native.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	h := Judge(s.source.Status())
	ready, reason := h.Ready, h.Reason
	if name := r.URL.Query().Get("side"); name != "" {
		i := slices.IndexFunc(h.Sides, func(side SideHealth) bool { return side.Initiator == name })
		if i < 0 {
			http.Error(w, "side must be native or libp2p", http.StatusBadRequest)

			return
		}
		ready, reason = h.Sides[i].Ready, h.Sides[i].Reason
	}
	if !ready {
		http.Error(w, reason, http.StatusServiceUnavailable)

		return
	}
	s.text(w, "ready\n")
}

func (s *Server) text(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := w.Write([]byte(text)); err != nil {
		s.options.logger.Debug("answer could not be sent", "err", err)
	}
}

// answer sends JSON, in which encoding/json escapes what HTML would take for markup.
func (s *Server) answer(w http.ResponseWriter, v any) { s.answerWith(w, http.StatusOK, v) }

// answerWith is answer with another status.
func (s *Server) answerWith(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		s.options.logger.Warn("answer could not be encoded", "err", err)
		http.Error(w, "the answer could not be encoded", http.StatusInternalServerError)

		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(append(data, '\n')); err != nil {
		s.options.logger.Debug("answer could not be sent", "err", err)
	}
}
