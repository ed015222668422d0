package dropin

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gnolang/gno/tm2/pkg/p2p"
	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	gnotypes "github.com/gnolang/gno/tm2/pkg/p2p/types"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/events"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// migrationPage holds the shell commands of docs/migration.md: by the number of a step, and
// those that check it.
type migrationPage struct {
	steps map[int]string
	check string
}

func readMigrationPage(t *testing.T) migrationPage {
	t.Helper()
	data, err := os.ReadFile("../docs/migration.md")
	require.NoError(t, err)
	page := migrationPage{steps: make(map[int]string)}
	block := regexp.MustCompile("(?s)```sh\n(.*?)```")
	for section := range strings.SplitSeq(string(data), "\n## ") {
		commands := block.FindStringSubmatch(section)
		if commands == nil {
			continue
		}
		var step int
		if _, err := fmt.Sscanf(section, "Step %d:", &step); err == nil {
			page.steps[step] = commands[1]
		} else {
			require.True(t, strings.HasPrefix(section, "Check each step\n"), section)
			page.check = commands[1]
		}
	}
	require.Len(t, page.steps, 3)
	require.NotEmpty(t, page.check)

	return page
}

// validator is a node that is restarted with its key and address.
type validator struct {
	key    gnotypes.NodeKey
	info   gnotypes.NodeInfo
	cfg    *gnoconfig.P2PConfig
	dir    string // where the commands of the page run
	sw     *Switch
	events <-chan events.Event
	close  func()
}

func newValidator(t *testing.T) *validator {
	t.Helper()
	v := &validator{cfg: loopbackConfig(), dir: t.TempDir()}
	v.key, v.info = newIdentity(testChannel)
	v.cfg.RootDir = filepath.Join(v.dir, "gnoland-data")
	require.NoError(t, os.MkdirAll(filepath.Join(v.cfg.RootDir, configDir), 0o755))
	v.cfg.ListenAddress = freeAddress(t)
	v.start(t, stock)
	t.Cleanup(func() { v.stop(t) })

	return v
}

// stock is NewNativeSwitch as a constructor, which stands for gno's own switch.
func stock(
	info gnotypes.NodeInfo, key gnotypes.NodeKey, cfg *gnoconfig.P2PConfig, reactors map[string]p2p.Reactor, logger *slog.Logger, _ ...Option,
) (*Switch, error) {
	return NewNativeSwitch(info, key, cfg, reactors, logger)
}

// start runs the node with a switch.
func (v *validator) start(t *testing.T, newSwitch constructor, opts ...Option) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(v.dir, "gnoland.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	v.sw, err = newSwitch(v.info, v.key, v.cfg, map[string]p2p.Reactor{"R": silent{newGnoRecorder("r", testChannel)}},
		slog.New(slog.NewTextHandler(log, nil)), opts...)
	require.NoError(t, err)
	var cancel func()
	v.events, cancel = v.sw.MultiplexSwitch().Subscribe(nil)
	v.close = func() {
		require.NoError(t, v.sw.Close())
		cancel()
		require.NoError(t, log.Close())
	}
	require.NoError(t, v.sw.Start())
}

// silent is a reactor that does nothing.
type silent struct{ *gnoRecorder }

func (silent) AddPeer(p2p.PeerConn)         {}
func (silent) RemovePeer(p2p.PeerConn, any) {}

func (v *validator) stop(t *testing.T) {
	t.Helper()
	if v.close != nil {
		v.close()
		v.close = nil
	}
}

// run runs commands of the page for the node, and returns what they print.
func (v *validator) run(t *testing.T, commands string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", commands)
	cmd.Dir = v.dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))

	return string(out)
}

// awaitLinks waits until the node has this number of links.
func (v *validator) awaitLinks(t *testing.T, n int) {
	t.Helper()
	for len(v.sw.MultiplexSwitch().Links()) != n {
		await(t, v.events)
	}
}

// renew ends the switch's link to the peer, so that it is made anew.
func renew(t *testing.T, sw *Switch, id types.ID) {
	t.Helper()
	mux := sw.MultiplexSwitch()
	down, cancel := mux.Subscribe(func(e events.Event) bool {
		lost, ok := e.(events.PeerDisconnectedEvent)

		return ok && lost.PeerID == id
	})
	defer cancel()
	if peer := mux.Peers().Get(id); peer != nil {
		mux.StopPeerForError(peer, errors.New("the stack is not the expected one"))
		await(t, down)
	}
}

// network is the validators of the test, each with all others as persistent peers.
type network []*validator

func (n network) awaitLinks(t *testing.T) {
	t.Helper()
	for _, v := range n {
		v.awaitLinks(t, len(n)-1)
	}
}

// requireStack waits until all nodes are connected, on the stack. A node that is held up for a
// second takes a node of both stacks for a native one, so a few links are made anew.
func (n network) requireStack(t *testing.T, want types.Stack) {
	t.Helper()
	for range 5 {
		n.awaitLinks(t)
		settled := true
		for _, v := range n {
			for _, link := range v.sw.MultiplexSwitch().Links() {
				if link.Stack != want {
					settled = false
					renew(t, v.sw, link.PeerID)
				}
			}
		}
		if settled {
			return
		}
	}
	require.Fail(t, "links are on the other stack", "wanted %s", want)
}

// take moves the nodes to a step of the page, one by one. All are connected after each
// restart, and on the stack at the end.
func (n network) take(t *testing.T, page migrationPage, step int, want types.Stack) {
	t.Helper()
	for _, v := range n {
		v.stop(t)
		v.run(t, page.steps[step])
		v.start(t, NewConfiguredSwitch, func(o *options) { o.report = 10 * time.Millisecond })
		n.awaitLinks(t)
	}
	n.requireStack(t, want)
}

// requireChecked runs the commands that check a step.
func (v *validator) requireChecked(t *testing.T, page migrationPage, choice, peers string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for out := ""; ; {
		out = v.run(t, page.check)
		require.Contains(t, out, choice)
		if strings.Contains(out, peers) {
			return
		}
		require.True(t, time.Now().Before(deadline), out)
	}
}

// newNetwork starts n stock nodes.
func newNetwork(t *testing.T, n int) (nodes network) {
	t.Helper()
	for range n {
		nodes = append(nodes, newValidator(t))
	}
	for _, v := range nodes {
		for _, other := range nodes {
			if other != v {
				at := other.sw.NetAddress()
				v.cfg.PersistentPeers += at.String() + ","
			}
		}
	}
	for _, v := range nodes {
		v.stop(t)
		v.start(t, stock)
	}
	nodes.requireStack(t, types.StackNative)

	return nodes
}

// requireJoins lets a node that speaks only libp2p join and leave.
func (n network) requireJoins(t *testing.T, page migrationPage) {
	t.Helper()
	joiner := newValidator(t)
	joiner.stop(t)
	at := n[0].sw.NetAddress()
	joiner.cfg.PersistentPeers = at.String()
	joiner.start(t, NewLibp2pSwitch)
	joiner.awaitLinks(t, 1)
	n[0].awaitLinks(t, len(n))
	n[0].requireChecked(t, page, `stack="dual`, "native=2 libp2p=1")
	joiner.stop(t)
	n.awaitLinks(t)
}

// requireMissed lets the first node dial a stock node, which it cannot reach any more.
func (n network) requireMissed(t *testing.T) {
	t.Helper()
	late := newValidator(t)
	defer late.stop(t)
	at := late.sw.NetAddress()
	n[0].sw.DialPeers(&at)
	for late := 0; ; {
		if failed, ok := await(t, n[0].events).(events.DialFailedEvent); ok && failed.Address.ID == types.ID(at.ID) {
			if compat.ClassifyDial(failed.Reason) == compat.DialTimedOut { // on a busy machine
				late++
				require.Less(t, late, 5, "%v", failed.Reason)
				n[0].sw.DialPeers(&at)

				continue
			}
			require.ErrorContains(t, failed.Reason, "remote speaks native")

			return
		}
	}
}

// TestMigration follows docs/migration.md there and back, by its own commands. The stock
// nodes are those of NewNativeSwitch; interop-tests has gno's own.
func TestMigration(t *testing.T) {
	page := readMigrationPage(t)
	nodes := newNetwork(t, 3)

	nodes.take(t, page, 1, types.StackNative)
	nodes[0].requireChecked(t, page, `stack="dual (p2p.toml)" dial="native-first (p2p.toml)"`, "native=2 libp2p=0")
	nodes.requireJoins(t, page)
	nodes.take(t, page, 2, types.StackLibp2p)
	nodes[1].requireChecked(t, page, `stack="dual (p2p.toml)" dial="auto (p2p.toml)"`, "native=0 libp2p=2")
	nodes.take(t, page, 3, types.StackLibp2p)
	nodes[1].requireChecked(t, page, `stack="libp2p (p2p.toml)" dial="libp2p (p2p.toml)"`, "native=0 libp2p=2")
	nodes.requireMissed(t)

	nodes.take(t, page, 2, types.StackLibp2p)
	nodes.take(t, page, 1, types.StackNative)
	for _, v := range nodes {
		v.stop(t)
		v.start(t, stock)
		nodes.awaitLinks(t)
	}
	nodes.requireStack(t, types.StackNative)
}
