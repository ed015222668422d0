package browsertest

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The browser runs scripts, obeys the policy of a page, and tells what goes wrong.
func TestBrowserTellsErrors(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /good", func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write([]byte(`<title>good</title><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><button>b</button>`))
		require.NoError(t, err)
	})
	mux.HandleFunc("GET /bad", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		_, err := w.Write([]byte(`<title>bad</title><script>document.title = "hacked"</script>`))
		require.NoError(t, err)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	p := Open(t)
	p.Show(400, 300, true)
	p.Visit(server.URL + "/good")
	p.Await(`document.title === "good"`)
	require.Equal(t, 400, Eval[int](p, "innerWidth"))
	require.True(t, Eval[bool](p, `matchMedia("(prefers-color-scheme: dark)").matches`))
	p.Press("Tab")
	require.Equal(t, "BUTTON", Eval[string](p, "document.activeElement.tagName"))
	require.Empty(t, p.Errors())
	path := filepath.Join(t.TempDir(), "a", "shot.png")
	p.Screenshot(path)
	require.FileExists(t, path)

	p.Visit(server.URL + "/bad")
	p.Await(`document.title === "bad"`)
	require.NotEmpty(t, p.Errors())
}
