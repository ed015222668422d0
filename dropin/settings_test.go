package dropin

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gnoconfig "github.com/gnolang/gno/tm2/pkg/p2p/config"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
)

// homeWith returns a node's home directory with the files, by their names.
func homeWith(t *testing.T, files map[string]string) string {
	t.Helper()
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, configDir), 0o755))
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(home, configDir, name), []byte(text), 0o600))
	}

	return home
}

// configured returns the config that a node with the home directory has, and its log.
func configured(t *testing.T, home string, opts ...Option) (config.P2PConfig, string, error) {
	t.Helper()
	var log strings.Builder
	cfg := loopbackConfig()
	cfg.RootDir = home
	p, o, err := newConfiguredPlan(cfg, nil, slog.New(slog.NewTextHandler(&log, nil)), newOptions(opts))
	if err != nil {
		return config.P2PConfig{}, log.String(), err
	}
	require.Equal(t, []string{p.cfg.Stack, p.cfg.Dial}, []string{string(o.stack), string(o.dial)})

	return p.cfg, log.String(), nil
}

// TestOwnKeys checks that the operator can set every key that gno does not have.
func TestOwnKeys(t *testing.T) {
	var want []string
	section := reflect.TypeFor[config.P2PConfig]()
	for i := range section.NumField() {
		if key := section.Field(i).Tag.Get("toml"); !isGnoKey(key) {
			want = append(want, key)
		}
	}
	require.ElementsMatch(t, want, ownKeys)
	require.Len(t, want, section.NumField()-reflect.TypeFor[gnoconfig.P2PConfig]().NumField())
}

const (
	someID    = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"
	everyOwn  = "[p2p]\nstack = \"libp2p\"\ndial = \"native-first\"\nquic = true\nlibp2p_security = \"tls\"\ntunnel_bridges = \"" + someID + "@192.0.2.1:36656\"\ntunnel_peer_ids = \"" + someID + "\"\ndht = true\nseed_mode = true\ndial_timeout = \"7s\"\n" + everyList
	everyList = "unconditional_peer_ids = \"" + someID + "\"\nblocked_peers = \"" + someID + "\"\nblocked_ips = \"192.0.2.0/24\"\nproxy_protocol_networks = \"10.0.0.0/8\"\n"
)

func everyWanted(home string) config.P2PConfig {
	cfg := loopbackConfig()
	cfg.RootDir = home
	want := FromP2PConfig(*cfg)
	want.Stack, want.Dial, want.QUIC, want.DHT, want.SeedMode, want.DialTimeout = "libp2p", "native-first", true, true, true, 7*time.Second
	want.Libp2pSecurity, want.TunnelBridges, want.TunnelPeerIDs = "tls", someID+"@192.0.2.1:36656", someID
	want.UnconditionalPeerIDs, want.BlockedPeers, want.BlockedIPs = someID, someID, "192.0.2.0/24"
	want.ProxyProtocolNetworks = "10.0.0.0/8"

	return want
}

// TestSettingsFromFiles reads every key from each of the two files.
func TestSettingsFromFiles(t *testing.T) {
	for _, name := range []string{gnoFile, ownFile} {
		home := homeWith(t, map[string]string{name: everyOwn})
		got, log, err := configured(t, home)
		require.NoError(t, err)
		require.Equal(t, everyWanted(home), got)
		for _, key := range ownKeys {
			require.Regexp(t, key+`="[^"]+ \(`+name+`\)"`, log)
		}
	}
}

// TestSettingsFromEnvironment reads every key from its variable.
func TestSettingsFromEnvironment(t *testing.T) {
	for line := range strings.Lines(everyOwn) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			t.Setenv(envPrefix+strings.ToUpper(key), strings.Trim(value, `"`))
		}
	}
	got, log, err := configured(t, "")
	require.NoError(t, err)
	require.Equal(t, everyWanted(""), got)
	for _, key := range ownKeys {
		require.Regexp(t, key+`="[^"]+ \(TM2_P2P_`+strings.ToUpper(key)+`\)"`, log)
	}
}

// TestZerosInGnosFile checks that the zeros which `gnoland config set` of v1.1.0 writes for
// keys that the file did not have are no choice.
func TestZerosInGnosFile(t *testing.T) {
	zeros := "[p2p]\nstack = \"\"\ndial = \"\"\nquic = false\ndht = false\nseed_mode = false\ndial_timeout = \"0s\"\nblocked_ips = \"\"\n"
	got, log, err := configured(t, homeWith(t, map[string]string{gnoFile: zeros}))
	require.NoError(t, err)
	require.Equal(t, []string{"dual", "auto", "10s"}, []string{got.Stack, got.Dial, got.DialTimeout.String()})
	require.Contains(t, log, `msg="p2p stack" stack="dual (default)" dial="auto (default)"`+"\n")
}

// TestPrecedenceOfSettings sets one key in more and more places.
func TestPrecedenceOfSettings(t *testing.T) {
	inGno := "[p2p]\nladdr = \"tcp://127.0.0.1:1\"\ndial = \"native\"\nquic = true\n[rpc]\nstack = 3\n"
	got, log, err := configured(t, homeWith(t, nil))
	require.NoError(t, err)
	require.Equal(t, []string{"dual", "auto"}, []string{got.Stack, got.Dial})
	require.Contains(t, log, `msg="p2p stack" stack="dual (default)" dial="auto (default)"`+"\n")

	got, log, err = configured(t, homeWith(t, nil), WithStack(dual.StackNative), WithDial(dual.DialNativeFirst))
	require.NoError(t, err)
	require.Equal(t, []string{"native", "native-first"}, []string{got.Stack, got.Dial})
	require.Contains(t, log, `stack="native (default)"`)

	got, log, err = configured(t, homeWith(t, map[string]string{gnoFile: inGno}), WithDial(dual.DialNativeFirst))
	require.NoError(t, err)
	require.Equal(t, []string{"dual", "native"}, []string{got.Stack, got.Dial}, "the file counts, not the program")
	require.Equal(t, "tcp://127.0.0.1:0", got.ListenAddress, "the keys of gno are those of its config")
	require.Contains(t, log, `dial="native (config.toml)" quic="true (config.toml)"`)
	require.NotContains(t, log, "level=WARN")

	home := homeWith(t, map[string]string{gnoFile: inGno, ownFile: "[p2p]\ndial = \"libp2p-first\""})
	got, log, err = configured(t, home)
	require.NoError(t, err)
	require.Equal(t, "libp2p-first", got.Dial, "p2p.toml counts before config.toml")
	require.True(t, got.QUIC, "what it does not have stays")
	require.Contains(t, log, `dial="libp2p-first (p2p.toml)" quic="true (config.toml)"`)

	t.Setenv("TM2_P2P_DIAL", "auto")
	t.Setenv("TM2_P2P_QUIC", "false")
	got, log, err = configured(t, home)
	require.NoError(t, err)
	require.Equal(t, "auto", got.Dial, "the environment counts before both")
	require.False(t, got.QUIC)
	require.Contains(t, log, `dial="auto (TM2_P2P_DIAL)" quic="false (TM2_P2P_QUIC)"`)
}

// TestWrongSettings checks that an error names where the value stands, and what is permitted.
func TestWrongSettings(t *testing.T) {
	for _, c := range []struct {
		file, text string
		want       []string
	}{
		{ownFile, "[p2p]\nstack = \"both\"", []string{`[p2p].stack = "both": it must be "native", "dual", "libp2p"`}},
		{gnoFile, "[p2p]\nstack = \"both\"", []string{`[p2p].stack = "both": it must be "native", "dual", "libp2p"`}},
		{gnoFile, "[p2p]\ndial = \"dual\"", []string{`[p2p].dial = "dual": it must be "auto", "native-first", "libp2p-first", "native", "libp2p"`}},
		{ownFile, "[p2p]\nquic = \"on\"", []string{`[p2p].quic = "on": it must be true or false`}},
		{ownFile, "[p2p]\nproxy_protocol_networks = \"x\"", []string{"[p2p].proxy_protocol_networks"}},
		{ownFile, "[p2p]\ntunnel_bridges = \"192.0.2.1:36656\"", []string{`[p2p].tunnel_bridges = "192.0.2.1:36656": it must be ID@host:port`}},
		{gnoFile, "[p2p]\ntunnel_peer_ids = \"" + someID + "@192.0.2.1:1\"", []string{"[p2p].tunnel_peer_ids", "it is not a TM2 ID"}},
		{ownFile, "[p2p]\ndial_timeout = \"0s\"", []string{"[p2p].dial_timeout", "positive"}},
		{ownFile, "[p2p]\nstak = \"dual\"", []string{"[p2p].stak", "there is no such key", "stack, dial, quic"}},
		{ownFile, "[p2p]\nladdr = \"tcp://0.0.0.0:1\"", []string{"[p2p].laddr", gnoFile}},
		{ownFile, "stack = \"dual\"", []string{"stack", "[p2p]"}},
		{ownFile, "p2p = 1", []string{"[p2p]"}},
		{ownFile, "[p2p", []string{"line 1"}},
	} {
		t.Run(c.text, func(t *testing.T) {
			_, _, err := configured(t, homeWith(t, map[string]string{c.file: c.text}))
			for _, part := range append(c.want, c.file) {
				require.ErrorContains(t, err, part)
			}
		})
	}

	for name, c := range map[string][2]string{
		"TM2_P2P_STACK":                   {"both", `it must be "native", "dual", "libp2p"`},
		"TM2_P2P_DIAL":                    {"", `it must be "auto", "native-first", "libp2p-first", "native", "libp2p"`},
		"TM2_P2P_QUIC":                    {"1", "it must be true or false"},
		"TM2_P2P_DIAL_TIMEOUT":            {"7", "it must be a duration with a unit"},
		"TM2_P2P_PROXY_PROTOCOL_NETWORKS": {"x", "it must be a network"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, c[0])
			_, _, err := configured(t, "")
			require.ErrorContains(t, err, name+` = "`+c[0]+`": `+c[1])
			require.NotContains(t, err.Error(), "[p2p]")
		})
	}

	_, _, err := configured(t, "", WithStack("both"))
	require.ErrorContains(t, err, "[p2p].stack")
}

// TestUnknownSettingsAreReported checks that a key that does nothing is a warning where others
// write, too.
func TestUnknownSettingsAreReported(t *testing.T) {
	t.Setenv("TM2_P2P_STAK", "dual")
	t.Setenv("TM2_P2P_LADDR", "tcp://0.0.0.0:1")
	t.Setenv("TM2_P2P_stack", "libp2p")
	got, log, err := configured(t, homeWith(t, map[string]string{gnoFile: "stack = 1\n[p2p]\nstak = \"dual\"\n[other]\nx = 1"}))
	require.NoError(t, err)
	require.Equal(t, "dual", got.Stack)
	warned := slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool { return !strings.Contains(line, "level=WARN") })
	require.Len(t, warned, 2)
	require.Contains(t, warned[0], "config.toml: [p2p].stak has no effect")
	require.Contains(t, warned[1], "environment: TM2_P2P_LADDR, TM2_P2P_STAK, TM2_P2P_stack has no effect")
}
