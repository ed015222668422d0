package edit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
)

// gno returns the folder of the gno that this module requires.
func gno(t *testing.T) string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gnolang/gno").Output()
	require.NoError(t, err)

	return strings.TrimSpace(string(dir))
}

// source returns a file of gno after former was replaced by text, which must be possible
// once.
func source(t *testing.T, name, former, text string) *Source {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(gno(t), name))
	require.NoError(t, err)
	if former != "" {
		require.Equal(t, 1, strings.Count(string(content), former), former)
		content = []byte(strings.Replace(string(content), former, text, 1))
	}
	s, err := Parse(name, content)
	require.NoError(t, err)

	return s
}

func TestNode(t *testing.T) {
	s := source(t, NodeFile, "", "")
	require.NoError(t, Node(s))
	text, err := s.Bytes()
	require.NoError(t, err)
	for _, gone := range []string{"n.transport", "transport:", "MultiplexSwitch", "MultiplexTransport", "DialPeers", "/conn\"", "opts"} {
		require.False(t, strings.Contains(string(text), gone), gone)
	}
	require.Equal(t, 1, strings.Count(string(text), "dropin.NewConfiguredSwitch("))
	require.NotContains(t, string(text), "invalid p2p external address", "it need not resolve yet")
	require.Regexp(t, `if err == nil \{[^\n]*\n\t+nodeInfo\.NetAddress = addr\n`, string(text))

	again, err := Parse(NodeFile, text)
	require.NoError(t, err)
	require.ErrorIs(t, Node(again), ErrMismatch, "a file that was changed is not changed again")
}

// TestNodeThatDiffers changes gno in ways that a chain of its own might, and looks for the
// place and the expectation in the error.
func TestNodeThatDiffers(t *testing.T) {
	for name, tc := range map[string]struct{ former, text, want string }{
		"import":           {`"github.com/gnolang/gno/tm2/pkg/p2p/conn"`, `c "github.com/gnolang/gno/tm2/pkg/p2p/conn"`, "an import of"},
		"field":            {"*p2p.MultiplexSwitch // p2p", "p2p.Switch // p2p", "*p2p.MultiplexSwitch in Node"},
		"accessor":         {"Switch() *p2p.MultiplexSwitch", "Switch() p2p.Switch", "a method Switch"},
		"no accessor":      {"func (n *Node) Switch()", "func (n *Node) Sw()", "(*Node).Switch"},
		"transport":        {"p2p.NewMultiplexTransport(", "p2p.NewOtherTransport(", "p2p.NewMultiplexTransport in NewNode"},
		"two switches":     {"sw.SetLogger(p2pLogger)", "sw.SetLogger(p2pLogger); other := p2p.NewMultiplexSwitch()", "one call of p2p.NewMultiplexSwitch"},
		"logger":           {"sw.SetLogger(p2pLogger)", "", "sw.SetLogger"},
		"option":           {"p2p.WithSeeds(seedAddrs),", "p2p.WithSeeds(seedAddrs), p2p.WithMore(1),", "no option of the switch but"},
		"more between":     {"// Parse the seed node addresses", "watch(peerAddrs)", "nothing but the options"},
		"no peers":         {"peerAddrs := parsePersistentPeerAddrs", "peers := parsePersistentPeerAddrs", "nothing but the options"},
		"fails later":      {"	return node, nil\n}", "	if node == nil { return nil, fmt.Errorf(\"x\") }\n	return node, nil\n}", "cannot fail"},
		"literal":          {"transport:        transport,", "", "a field transport"},
		"no NodeInfo":      {"func makeNodeInfo(", "func nodeInfoOf(", "a function makeNodeInfo"},
		"external address": {`if config.P2P.ExternalAddress != ""`, `if len(config.P2P.ExternalAddress) > 0`, "`if config.P2P.ExternalAddress"},
		"external error":   {"invalid p2p external address: %w\", err)", "invalid p2p external address: %w\", err); addr = nil", "three statements"},
		"listen address":   {"listenAddress := p2pTypes.NetAddressString(", "listenAddress := addressOf(", "the listen address"},
		"port":             {"if addr.Port == 0", "if addr.Port < 1", "addr.Port == 0"},
		"start":            {"err = n.sw.Start()", "err = n.start()", "n.sw.Start in OnStart"},
		"stop":             {"n.transport.Close()", "n.closeTransport()", "n.transport.Close in OnStop"},
		"no stop":          {"n.sw.Stop()", "n.stopSwitch()", "n.sw.Stop in OnStop"},
		"used elsewhere":   {"return n.nodeInfo\n", "n.transport.NetAddress()\n	return n.nodeInfo\n", "no further use of n.transport"},
		"conn elsewhere":   {"return n.nodeInfo\n", "conn.Do()\n	return n.nodeInfo\n", "no further use of conn.Do"},
		"dials in OnStart": {"// If early start, wait", "n.sw.DialPeers(x...)\n // If early start, wait", "parse peerAddrs"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Node(source(t, NodeFile, tc.former, tc.text))
			require.ErrorIs(t, err, ErrMismatch)
			require.ErrorContains(t, err, tc.want)
			require.Regexp(t, `^tm2/pkg/bft/node/node\.go:\d+:\d+: expected `, err.Error())
		})
	}
}

func TestConfig(t *testing.T) {
	s := source(t, ConfigFile, "", "")
	require.NoError(t, Config(s, *config.DefaultP2PConfig()))
	text, err := s.Bytes()
	require.NoError(t, err)
	require.Regexp(t, "Stack string +`json:\"stack\" toml:\"stack\" comment:\".+\"`", string(text))
	require.Regexp(t, `Stack: +"dual",`, string(text))
	require.Regexp(t, `DialTimeout: +10000000000,`, string(text))
	require.Equal(t, 1, strings.Count(string(text), "AddrBook string"))

	again, err := Parse(ConfigFile, text)
	require.NoError(t, err)
	require.NoError(t, Config(again, *config.DefaultP2PConfig()))
	same, err := again.Bytes()
	require.NoError(t, err)
	require.Equal(t, string(text), string(same), "no key is added twice")
}

// TestZerosAreNotWritten checks that a gno which reads its file over zeros writes none for our keys.
func TestZerosAreNotWritten(t *testing.T) {
	s := source(t, ConfigFile, "`json:\"recv_assembly_timeout\" toml:\"recv_assembly_timeout\"", "`toml:\"other\"")
	require.NoError(t, Config(s, *config.DefaultP2PConfig()))
	text, err := s.Bytes()
	require.NoError(t, err)
	require.Regexp(t, "Stack string +`json:\"stack\" toml:\"stack,omitempty\" comment:\".+\"`", string(text))
}

// TestEveryKeyHasAComment checks that the operator finds a comment above each key of ours.
func TestEveryKeyHasAComment(t *testing.T) {
	s := source(t, ConfigFile, "", "")
	require.NoError(t, Config(s, *config.DefaultP2PConfig()))
	for _, c := range s.changes {
		for line := range strings.Lines(c.text) {
			if strings.Contains(line, "toml:") {
				require.Contains(t, line, `comment:"`)
			}
		}
	}
}

func TestConfigThatDiffers(t *testing.T) {
	for name, tc := range map[string]struct{ former, text, want string }{
		"type":       {"PeerExchange bool", "PeerExchange string", "the key pex is a bool"},
		"no section": {"type P2PConfig struct", "type Section struct", "a struct P2PConfig"},
		"no default": {"func DefaultP2PConfig()", "func Default()", "a function DefaultP2PConfig"},
		"no literal": {"return &P2PConfig{", "return &Section{", "a literal of P2PConfig"},
		"no tag":     {"// Path to the address", "Bare int\n// Path to the address", "a tag at each field"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Config(source(t, ConfigFile, tc.former, tc.text), *config.DefaultP2PConfig())
			require.ErrorIs(t, err, ErrMismatch)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestTags(t *testing.T) {
	none, err := Tags(source(t, AddressFile, "", ""), source(t, TypesFile, "", ""))
	require.NoError(t, err)
	require.Empty(t, none)

	both, err := Tags(source(t, AddressFile, "	Hostname string", "	Name string"),
		source(t, TypesFile, "Add(peer PeerConn) error", "Add(peer PeerConn)"))
	require.NoError(t, err)
	require.Equal(t, []string{"gno_no_hostname", "gno_add_no_error"}, both)

	_, err = Tags(source(t, AddressFile, "type NetAddress struct", "type Address struct"), source(t, TypesFile, "", ""))
	require.ErrorIs(t, err, ErrMismatch)
}
