package bridgehttp_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/lp2p"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/native"
	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/bridge/bridgehttp"
	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/browsertest"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

// screenshots is the variable with the folder into which TestPage puts pictures of the page.
const screenshots = "PAGE_SCREENSHOTS"

type reactor struct{ compat.BaseReactor }

func (*reactor) GetChannels() []*compat.ChannelDescriptor {
	return []*compat.ChannelDescriptor{{ID: 0x30, Priority: 5}}
}

// node is a node of a network. Several of them run on this machine.
type node struct {
	addr types.NetAddress
	stop func()
}

func startNode(t *testing.T, stack types.Stack, network, moniker string, dial ...types.NetAddress) *node {
	t.Helper()
	key := types.GenerateNodeKey()
	at := types.NetAddress{ID: key.ID(), IP: net.IPv4(127, 0, 0, 1)}
	info := types.NodeInfo{
		VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}}, NetAddress: &at,
		Network: network, Version: "v1.0.0", Channels: []byte{0x30}, Moniker: moniker,
	}
	var tr compat.ListeningTransport = native.NewMultiplexTransport(info, *key, mconn.DefaultMConnConfig(), nil)
	if stack == types.StackLibp2p {
		var err error
		tr, err = lp2p.NewTransport(info, *key, nil, lp2p.WithQUIC())
		require.NoError(t, err)
	}
	require.NoError(t, tr.Listen(at))
	r := &reactor{}
	r.BaseReactor = *compat.NewBaseReactor("test", r)
	peers := make([]*types.NetAddress, len(dial))
	for i := range dial {
		peers[i] = &dial[i]
	}
	sw := adapter.NewMultiplexSwitch(tr, adapter.WithReactor("test", r), adapter.WithPersistentPeers(peers), adapter.WithAllowDuplicateIP(true))
	require.NoError(t, sw.Start())
	n := &node{addr: tr.NetAddress()}
	n.stop = sync.OnceFunc(func() {
		require.NoError(t, sw.Stop())
		require.NoError(t, tr.Close())
	})
	t.Cleanup(n.stop)

	return n
}

// site is a real bridge with its page.
type site struct {
	bridge *bridge.Bridge
	server *bridgehttp.Server
	url    string
}

func startSite(t *testing.T, libp2pPeers ...*node) *site {
	t.Helper()
	at := types.NetAddress{IP: net.IPv4(127, 0, 0, 1)}
	cfg := bridge.Config{NativeListen: at, Libp2pListen: at, AllowDuplicateIP: true, Libp2pQUIC: true, MaxPairs: 16}
	for _, n := range libp2pPeers {
		cfg.Libp2pPeers = append(cfg.Libp2pPeers, &n.addr)
	}
	b, err := bridge.New(*types.GenerateNodeKey(), cfg, nil)
	require.NoError(t, err)
	require.NoError(t, b.Start())
	t.Cleanup(func() { require.NoError(t, b.Stop()) })
	nativeAt, libp2pAt := b.NativeAddress(), b.Libp2pAddress()
	server, err := bridgehttp.New(b, bridgehttp.WithVersion("v1.2.3"),
		bridgehttp.WithListen(bridgehttp.Listen{Native: []string{nativeAt.String()}, Libp2p: []string{libp2pAt.String()}}))
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		serving.Wait()
	})

	return &site{bridge: b, server: server, url: "http://" + listener.Addr().String() + "/"}
}

// The page shows a link that comes and goes, takes nothing that a node says for markup, and
// has no error, in a real browser. With PAGE_SCREENSHOTS=DIR it leaves pictures there.
func TestPage(t *testing.T) {
	page := browsertest.Open(t)
	far := startNode(t, types.StackLibp2p, "chain", "validator-7")
	down := startNode(t, types.StackLibp2p, "chain", "gone")
	s := startSite(t, far, down)
	down.stop()
	near := startNode(t, types.StackNative, "chain", hostile, s.bridge.NativeAddress())

	page.Show(1280, 900, false)
	page.Visit(s.url)
	page.Await(`document.querySelectorAll("#pairs > li").length === 1`)
	require.Equal(t, []string{hostile, "validator-7"},
		browsertest.Eval[[]string](page, `Array.from(document.querySelectorAll("#pairs .who"), e => e.textContent)`))
	require.Zero(t, browsertest.Eval[int](page, `document.querySelectorAll("img, main script, iframe").length`))
	page.Await(`document.querySelectorAll("#graph .wire").length >= 2 && document.querySelectorAll("#plots li").length === 6`)
	page.Await(`document.querySelectorAll("#trends li").length === 2`)
	text := browsertest.Eval[string](page, "document.body.innerText")
	for _, want := range []string{near.addr.ID.String(), far.addr.ID.String(), "dialect C", "chain, version v1.0.0", "the native node dialed", "v1.2.3"} {
		require.Contains(t, text, want)
	}

	other := startNode(t, types.StackNative, "another chain", "lost", s.bridge.NativeAddress())
	page.Await(`document.querySelectorAll("#waiting > li").length === 1`)
	page.Await(`document.getElementById("light").dataset.state === "degraded"`)
	waiting := browsertest.Eval[string](page, `document.getElementById("waiting").innerText`)
	require.Contains(t, waiting, other.addr.ID.String())
	require.Contains(t, strings.ToLower(waiting), "cure")
	picture(t, page)

	near.stop()
	page.Await(`document.querySelectorAll("#pairs > li").length === 0`)
	page.Await(`document.getElementById("events").innerText.includes("pair ended")`)
	again := startNode(t, types.StackNative, "chain", "again", s.bridge.NativeAddress())
	page.Await(`document.getElementById("pairs").innerText.includes("` + again.addr.ID.String() + `")`)
	require.Empty(t, page.Errors())

	require.NoError(t, s.server.Close())
	page.Await(`document.getElementById("light").dataset.state === "unknown"`)
	require.Contains(t, browsertest.Eval[string](page, `document.getElementById("reason").textContent`), "what you see below is of then")
}

// picture checks the page in light and dark mode, wide and narrow, and keeps pictures of it.
func picture(t *testing.T, page *browsertest.Page) {
	t.Helper()
	for name, view := range map[string]struct {
		width int
		dark  bool
	}{"light": {1280, false}, "dark": {1280, true}, "phone": {390, false}, "phone-dark": {390, true}} {
		page.Show(view.width, 900, view.dark)
		require.LessOrEqual(t, browsertest.Eval[int](page, "document.documentElement.scrollWidth"), view.width, "%s scrolls sideways", name)
		require.Empty(t, browsertest.Eval[[]string](page, lowContrast), name)
		if dir := os.Getenv(screenshots); dir != "" {
			page.Screenshot(filepath.Join(dir, name+".png"))
		}
	}
}

// lowContrast lists texts whose contrast with what is behind them is below the 4.5 that WCAG
// 2.2 asks of small texts (1.4.3).
const lowContrast = `(() => {
	const rgb = (color) => (color.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
	const light = (c) => {
		const [r, g, b] = c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const c = rgb(getComputedStyle(e).backgroundColor);
			if (c.length < 4 || c[3] > 0) return c;
		}
		return [255, 255, 255];
	};
	const bad = [];
	for (const e of document.querySelectorAll("body *:not(svg *)")) {
		const own = Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
		if (!own || !e.getClientRects().length) continue;
		const [a, b] = [light(rgb(getComputedStyle(e).color).slice(0, 3)), light(behind(e).slice(0, 3))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) bad.push(ratio.toFixed(2) + " " + e.textContent.slice(0, 40));
	}
	return bad;
})()`

// The page can be used by keyboard and by screen reader.
func TestPageIsAccessible(t *testing.T) {
	page := browsertest.Open(t)
	far := startNode(t, types.StackLibp2p, "chain", "validator-7")
	s := startSite(t, far)
	startNode(t, types.StackNative, "chain", "near", s.bridge.NativeAddress())
	page.Visit(s.url)
	page.Await(`document.querySelectorAll("#pairs > li").length === 1 && document.querySelectorAll("#plots li").length === 6`)

	page.Press("Tab")
	require.Equal(t, "Skip to the content", browsertest.Eval[string](page, "document.activeElement.textContent"))
	page.Press("Tab")
	require.Equal(t, "find", browsertest.Eval[string](page, "document.activeElement.id"))
	require.Equal(t, "Find a node", browsertest.Eval[string](page, `document.activeElement.labels[0].textContent`))
	// The focus survives the updates.
	page.Await(`(window.seen = (window.seen || new Set()).add(document.getElementById("uptime").textContent), window.seen.size > 1)`)
	require.Equal(t, "find", browsertest.Eval[string](page, "document.activeElement.id"))

	require.Zero(t, browsertest.Eval[int](page, `document.querySelectorAll("svg:not([aria-label])").length`))
	require.Equal(t, "status", browsertest.Eval[string](page, `document.getElementById("state").closest("[role]").getAttribute("role")`))
	require.Zero(t, browsertest.Eval[int](page,
		`Array.from(document.querySelectorAll("section")).filter((e) => !document.getElementById(e.getAttribute("aria-labelledby"))).length`))
	require.Equal(t, 1, browsertest.Eval[int](page, `document.querySelectorAll("h1").length`))

	browsertest.Eval[any](page, `((e = document.getElementById("find")) => (e.value = "NOBODY", e.dispatchEvent(new Event("input")), null))()`)
	page.Await(`document.querySelectorAll("#pairs > li").length === 0`)
	browsertest.Eval[any](page, `((e = document.getElementById("find")) => (e.value = "VALIDATOR", e.dispatchEvent(new Event("input")), null))()`)
	page.Await(`document.querySelectorAll("#pairs > li").length === 1`)
	require.Empty(t, page.Errors())
}

// The page of a bridge that no node has dialed yet says how it is, and where nodes dial it.
func TestPageOfAFreshBridge(t *testing.T) {
	page := browsertest.Open(t)
	page.Visit(startSite(t).url)
	page.Await(`document.body && document.body.dataset.ready === "yes"`)
	require.NotEqual(t, "unknown", browsertest.Eval[string](page, `document.getElementById("light").dataset.state`))
	require.NotZero(t, browsertest.Eval[int](page, `document.querySelectorAll("#listen dd").length`))
}

// Items with one key are as many elements, however often they are shown: a node that waits at
// two identities of the bridge is in the list twice.
func TestPageShowsItemsWithOneKey(t *testing.T) {
	page := browsertest.Open(t)
	page.Visit(startSite(t).url)
	page.Await(`document.body && document.body.dataset.ready === "yes"`)
	require.Equal(t, "ab", browsertest.Eval[string](page, `import("/dom.js").then(({ el, sync }) => {
		const list = el("ul", "");
		for (let i = 0; i < 3; i++) sync(list, ["a", "b"], () => "same", (item) => el("li", "", item));
		return list.textContent;
	})`))
}
