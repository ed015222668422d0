package browsertest

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Timeout only ends a test that has already failed.
const Timeout = 60 * time.Second

// names are those under which Chromium may be installed.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell"}

// Page is a page in a browser of its own. Its methods fail the test on errors.
type Page struct {
	t       testing.TB
	pipe    *pipe
	session string

	mtx    sync.Mutex
	errors []string
}

// Open starts Chromium with an empty page and stops it at the end of the test. Where no
// Chromium is found, or it does not start, it skips the test.
func Open(t testing.TB) *Page {
	t.Helper()
	program := ""
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil && program == "" {
			program = path
		}
	}
	if program == "" {
		t.Skip("no Chromium is installed: it is in Debian's package chromium")
	}
	p := &Page{t: t}
	p.start(program)
	var target struct {
		TargetID string `json:"targetId"`
	}
	if err := p.pipe.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		t.Skipf("%s does not start here: %v", program, err)
	}
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	p.browser("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		p.call(domain+".enable", nil, nil)
	}

	return p
}

// start runs Chromium, which reads the protocol from descriptor 3 and writes it to 4.
func (p *Page) start(program string) {
	home, err := os.MkdirTemp("", "browsertest")
	require.NoError(p.t, err)
	p.t.Cleanup(func() { p.remove(home) })
	toBrowser, commands, err := os.Pipe()
	require.NoError(p.t, err)
	answers, fromBrowser, err := os.Pipe()
	require.NoError(p.t, err)
	// The sandbox needs rights that containers and root do not have; the page is our own.
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--remote-debugging-pipe", "--user-data-dir="+filepath.Join(home, "profile"), "about:blank")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser}
	cmd.Env = append(os.Environ(), "HOME="+home)
	require.NoError(p.t, cmd.Start())
	require.NoError(p.t, toBrowser.Close())
	require.NoError(p.t, fromBrowser.Close())
	p.pipe = newPipe(answers, commands, p.note)
	p.t.Cleanup(func() {
		if err := p.pipe.call("", "Browser.close", nil, nil); err != nil {
			p.t.Log(err)
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait() // Browser.close may end it with any status
		<-p.pipe.done
		require.NoError(p.t, commands.Close())
		require.NoError(p.t, answers.Close())
	})
}

// remove deletes the folder of the browser, whose processes may outlive it by a moment and
// write there.
func (p *Page) remove(home string) {
	until := time.Now().Add(Timeout)
	for {
		err := os.RemoveAll(home)
		if err == nil {
			return
		}
		if time.Now().After(until) {
			p.t.Error(err)

			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// note keeps what the page complains about.
func (p *Page) note(m message) {
	raw := m.Params.(*json.RawMessage)
	var event struct {
		Type  string `json:"type"`
		Entry struct{ Level, Text, URL string }
	}
	isError := m.Method == "Runtime.exceptionThrown"
	if json.Unmarshal(*raw, &event) == nil {
		isError = isError || m.Method == "Runtime.consoleAPICalled" && (event.Type == "error" || event.Type == "warning")
		isError = isError || m.Method == "Log.entryAdded" && event.Entry.Level != "info" && event.Entry.Level != "verbose"
	}
	if isError {
		p.mtx.Lock()
		defer p.mtx.Unlock()
		p.errors = append(p.errors, m.Method+": "+string(*raw))
	}
}

// Errors returns what the console and the page have complained about so far: exceptions,
// violations of the Content-Security-Policy, files that could not be loaded.
func (p *Page) Errors() []string {
	p.mtx.Lock()
	defer p.mtx.Unlock()

	return append([]string(nil), p.errors...)
}

func (p *Page) browser(method string, params, result any) {
	p.t.Helper()
	require.NoError(p.t, p.pipe.call("", method, params, result))
}

func (p *Page) call(method string, params, result any) {
	p.t.Helper()
	require.NoError(p.t, p.pipe.call(p.session, method, params, result))
}

// Show sets the size of the window in CSS pixels, and light or dark mode.
func (p *Page) Show(width, height int, dark bool) {
	p.t.Helper()
	p.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
	}, nil)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.call("Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
}

// Visit loads a page.
func (p *Page) Visit(url string) {
	p.t.Helper()
	var result struct {
		ErrorText string `json:"errorText"`
	}
	p.call("Page.navigate", map[string]any{"url": url}, &result)
	require.Empty(p.t, result.ErrorText, url)
}

// Eval returns the value of an expression of JavaScript in the page, which may be a promise.
func Eval[T any](p *Page, expression string) (value T) {
	p.t.Helper()
	var result struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	p.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &result)
	if result.ExceptionDetails != nil {
		require.FailNow(p.t, result.ExceptionDetails.Text+" "+result.ExceptionDetails.Exception.Description, expression)
	}
	if len(result.Result.Value) > 0 {
		require.NoError(p.t, json.Unmarshal(result.Result.Value, &value), expression)
	}

	return value
}

// Await waits until an expression is true in the page.
func (p *Page) Await(expression string) {
	p.t.Helper()
	until := time.Now().Add(Timeout)
	for !Eval[bool](p, "Boolean("+expression+")") {
		if time.Now().After(until) {
			require.FailNow(p.t, "the page does not show it", "%s\n%s\n%s", expression,
				Eval[string](p, "document.body.innerText"), strings.Join(p.Errors(), "\n"))
		}
		Eval[bool](p, "new Promise(done => setTimeout(() => done(true), 50))")
	}
}

// Press sends a key to the page, as "Tab".
func (p *Page) Press(key string) {
	p.t.Helper()
	codes := map[string]int{"Tab": 9, "Enter": 13}
	for _, kind := range []string{"rawKeyDown", "keyUp"} {
		p.call("Input.dispatchKeyEvent", map[string]any{
			"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": codes[key],
		}, nil)
	}
}

// Screenshot writes the whole page, however long it is, as PNG.
func (p *Page) Screenshot(path string) {
	p.t.Helper()
	var shot struct{ Data string }
	p.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(p.t, err)
	require.NoError(p.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(p.t, os.WriteFile(path, data, 0o644))
}
