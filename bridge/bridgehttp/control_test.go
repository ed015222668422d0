package bridgehttp_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

func withToken(token string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
	}
}

func TestControl(t *testing.T) {
	var level slog.LevelVar
	s := &source{}
	server := newServer(t, s, bridgehttp.WithToken(token), bridgehttp.WithLogLevel(&level))
	for _, tc := range []struct {
		action, body string
		code         int
		text         string
	}{
		{"connect", `{"side":"libp2p","address":"` + idA.String() + `@127.0.0.1:1"}`, http.StatusOK, "is a target of the libp2p side"},
		{"connect", `{"side":"libp2p","address":"nowhere"}`, http.StatusBadRequest, `"nowhere"`},
		{"block", `{"id":"` + idA.String() + `"}`, http.StatusOK, "is blocked"},
		{"unblock", `{"id":"` + idA.String() + `"}`, http.StatusOK, "is no longer blocked"},
		{"unblock", `{"id":"` + idB.String() + `"}`, http.StatusOK, "was not blocked"},
		{"forget", `{"id":"` + idA.String() + `"}`, http.StatusOK, "is forgotten"},
		{"forget", `{"id":"` + idB.String() + `"}`, http.StatusNotFound, "no such target"},
		{"log", `{"level":"debug"}`, http.StatusOK, "DEBUG"},
		{"log", `{"level":"loud"}`, http.StatusBadRequest, `"loud"`},
		{"erase", `{}`, http.StatusNotFound, "no such action"},
		{"block", `{"name":"x"}`, http.StatusBadRequest, "unknown field"},
		{"block", `{"id":"` + strings.Repeat("x", 8192) + `"}`, http.StatusBadRequest, "too large"},
	} {
		w := do(server, http.MethodPost, "/control/"+tc.action, tc.body, withToken(token))
		var a bridgehttp.Answer
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
		require.Equal(t, tc.code, w.Code, a.Error)
		require.Equal(t, "application/json", w.Result().Header.Get("Content-Type"), "as it was sent")
		require.Equal(t, tc.code == http.StatusOK, a.OK)
		require.Contains(t, a.Text+a.Error, tc.text)
	}
	require.Equal(t, slog.LevelDebug, level.Level())
	require.Equal(t, "connect libp2p "+idA.String()+"@127.0.0.1:1", s.done[0])
}

// Nothing is changed without the token, and by nothing that a form on a web page can send.
func TestControlNeedsTheToken(t *testing.T) {
	s := &source{}
	body := `{"id":"` + idA.String() + `"}`
	asForm := func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }
	for _, server := range []*bridgehttp.Server{newServer(t, s, bridgehttp.WithToken(token)), newServer(t, s)} {
		require.Equal(t, http.StatusUnauthorized, do(server, http.MethodPost, "/control/block", body).Code)
		require.Equal(t, http.StatusUnauthorized, do(server, http.MethodPost, "/control/block", body, withToken("")).Code)
		require.Equal(t, http.StatusUnauthorized, do(server, http.MethodPost, "/control/block", body, withToken(token+"x")).Code)
	}
	server := newServer(t, s, bridgehttp.WithToken(token))
	require.Equal(t, http.StatusBadRequest, do(server, http.MethodPost, "/control/block", body, withToken(token), asForm).Code)
	require.Equal(t, http.StatusMethodNotAllowed, do(server, http.MethodPut, "/control/block", body, withToken(token)).Code)
	require.Empty(t, s.done)

	_, err := bridgehttp.New(s, bridgehttp.WithToken("short"))
	require.ErrorIs(t, err, compat.ErrInvalidOption)
	w := do(newServer(t, s, bridgehttp.WithToken(token)), http.MethodPost, "/control/log", `{"level":"debug"}`, withToken(token))
	require.Equal(t, http.StatusBadRequest, w.Code, "the level cannot be changed")
}
