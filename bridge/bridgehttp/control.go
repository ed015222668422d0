package bridgehttp

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 4096

// Request is the body of a POST to /control/.
type Request struct {
	Side    string   `json:"side,omitempty"`    // connect: "native" or "libp2p"
	Address string   `json:"address,omitempty"` // connect: ID@host:port
	ID      types.ID `json:"id,omitempty"`      // block, unblock, forget
	Level   string   `json:"level,omitempty"`   // log: debug, info, warn or error
}

// Answer is what /control/ answers.
type Answer struct {
	OK    bool   `json:"ok"`
	Text  string `json:"text,omitempty"`  // what was done
	Error string `json:"error,omitempty"` // why it was not
}

// The errors that control answers with a status of their own.
var (
	errNoAction = errors.New("there is no such action: connect, block, unblock, forget or log")
	errRequest  = errors.New("invalid request")
)

// named refuses requests whose Host is a name that was not allowed: a browser sends such a
// name when a web page has rebound it to the address of the bridge.
func (s *Server) named(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.allowsHost(r.Host) {
			http.Error(w, "this host name is not allowed, see [http].hosts", http.StatusMisdirectedRequest)

			return
		}
		h(w, r)
	})
}

func (s *Server) allowsHost(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = hostPort
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	_, err = netip.ParseAddr(host)

	return err == nil || host == "localhost" || s.options.hosts[host]
}

// authorized compares hashes, so that the time tells nothing of the token.
func (s *Server) authorized(r *http.Request) bool {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.options.token))

	return found && s.options.token != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

func (s *Server) control(w http.ResponseWriter, r *http.Request) {
	if !s.authorized(r) {
		s.answerWith(w, http.StatusUnauthorized, Answer{Error: "the token is missing or wrong"})

		return
	}
	text, err := s.act(w, r)
	if err != nil {
		status := http.StatusInternalServerError
		switch {
		case errors.Is(err, errNoAction), errors.Is(err, bridge.ErrUnknownPeer):
			status = http.StatusNotFound
		case errors.Is(err, errRequest), errors.Is(err, bridge.ErrInvalidPeer), errors.Is(err, bridge.ErrInvalidSide),
			errors.Is(err, bridge.ErrInvalidConfig):
			status = http.StatusBadRequest
		}
		s.answerWith(w, status, Answer{Error: err.Error()})

		return
	}
	s.answer(w, Answer{OK: true, Text: text})
}

// act does what an authorized request asks for, and says what it did.
func (s *Server) act(w http.ResponseWriter, r *http.Request) (text string, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "", fmt.Errorf("%w: its Content-Type must be application/json", errRequest)
	}
	var req Request
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&req); err != nil {
		return "", fmt.Errorf("%w: %w", errRequest, err)
	}
	switch r.PathValue("action") {
	case "connect":
		addr, err := types.NewConfiguredNetAddress(req.Address)
		if err != nil {
			return "", fmt.Errorf("%w: address %q: %w", errRequest, req.Address, err)
		}

		return fmt.Sprintf("%s is a target of the %s side until the next reload", addr, req.Side), s.source.Connect(req.Side, *addr)
	case "block":
		return fmt.Sprintf("%s is blocked until the next reload", req.ID), s.source.Block(req.ID)
	case "unblock":
		if !s.source.Unblock(req.ID) {
			return fmt.Sprintf("%s was not blocked", req.ID), nil
		}

		return fmt.Sprintf("%s is no longer blocked", req.ID), nil
	case "forget":
		return fmt.Sprintf("%s is forgotten", req.ID), s.source.Forget(req.ID)
	case "log":
		return s.setLevel(req.Level)
	default:
		return "", errNoAction
	}
}

func (s *Server) setLevel(name string) (text string, err error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return "", fmt.Errorf("%w: level %q is none of debug, info, warn and error", errRequest, name)
	}
	if s.options.level == nil {
		return "", fmt.Errorf("%w: the level of this log cannot be changed", errRequest)
	}
	s.options.level.Set(level)
	s.options.logger.Info("log level changed", "level", level)

	return "the log level is " + level.String(), nil
}
