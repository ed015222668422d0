package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/stacktest"
)

const somePeer = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m"

// TestEveryKeyHasAnEffect walks every key that a file may have and shows that another value
// than the default reaches the bridge, or that the bridge says why the key does nothing.
func TestEveryKeyHasAnEffect(t *testing.T) {
	const peer = `"` + somePeer
	values := map[string]string{
		"[p2p].laddr": `"127.0.0.1:1"`, "[p2p].persistent_peers": peer + `@127.0.0.1:1"`,
		"[p2p].private_peer_ids": peer + `"`, "[p2p].unconditional_peer_ids": peer + `"`,
		"[p2p].blocked_peers": peer + `"`, "[p2p].blocked_ips": `"10.0.0.0/8"`,
		"[p2p].allow_duplicate_ip": "true", "[p2p].proxy_protocol_networks": `"10.0.0.0/8"`,
		"[p2p].flush_throttle_timeout": `"1s"`, "[p2p].max_packet_msg_payload_size": "2",
		"[p2p].send_rate": "3", "[p2p].recv_rate": "4", "[p2p].recv_assembly_timeout": `"5s"`,
		"[p2p].max_recv_buffer_bytes": "10000000", "[p2p].max_send_buffer_bytes": "11000000",
		"[bridge].libp2p_laddr": `"127.0.0.1:6"`, "[bridge].libp2p_peers": peer + `@127.0.0.1:7"`,
		"[bridge].only_configured": "true", "[bridge].libp2p_network": `"chain"`, "[bridge].libp2p_quic": "true",
		"[bridge].identities": "2", "[bridge].tunnels": peer + `=7"`, "[bridge].max_pairs": "8", "[bridge].max_pairs_per_ip": "9",
	}
	require.Len(t, values, len(keys)-len(names("http"))-len(names("log")), "those of [http] and [log] reach the program")
	id := types.GenerateNodeKey().ID()
	before, err := Default().ForBridge(id)
	require.NoError(t, err)
	for _, k := range keys {
		if k.section == "http" || k.section == "log" {
			continue
		}
		cfg, warnings, err := Parse(fmt.Appendf(nil, "[%s]\n%s = %s", k.section, k.name, values[k.String()]))
		require.NoError(t, err, k)
		require.Empty(t, warnings, k)
		got, err := cfg.ForBridge(id)
		require.NoError(t, err, k)
		require.NotEqual(t, before, got, k)
		if strings.Contains(values[k.String()], somePeer) {
			requireAnyForm(t, k, values[k.String()], id, got)
		}
	}

	asks := map[string]string{
		"test_fuzz_config": "{ Mode = 1 }", "handshake_timeout": `"1s"`, "dial_timeout": `"1s"`,
		"stack": `"dual"`, "dial": `"auto"`, "libp2p_security": `"noise"`,
	}
	for _, idle := range idleKeys {
		value := asks[idle.name]
		switch idle.quiet {
		case nil:
			if value == "" {
				value = fmt.Sprint(idle.sample)
			}
		case "":
			value = `"something"`
		default:
			value = fmt.Sprint(idle.quiet == false)
		}
		_, warnings, err := Parse(fmt.Appendf(nil, "[p2p]\n%s = %s", idle.name, value))
		require.NoError(t, err, idle.name)
		require.Equal(t, []string{"[p2p]." + idle.name + " has no effect: " + idle.reason}, warnings)
	}
}

// requireAnyForm shows that the bridge with the ID gets the same from a key whose peer is written in
// another form, and that a text that names nobody is refused.
func requireAnyForm(t *testing.T, k key, value string, id types.ID, want bridge.Config) {
	t.Helper()
	in := func(form string) []byte {
		return fmt.Appendf(nil, "[%s]\n%s = %s", k.section, k.name, strings.Replace(value, somePeer, form, 1))
	}
	for _, form := range stacktest.IDForms(t, somePeer) {
		cfg, warnings, err := Parse(in(form))
		require.NoError(t, err, "%s as %s", k, form)
		require.Empty(t, warnings, "%s as %s", k, form)
		got, err := cfg.ForBridge(id)
		require.NoError(t, err, "%s as %s", k, form)
		require.Equal(t, want, got, "%s as %s", k, form)
	}
	_, _, err := Parse(in(stacktest.MixedCase(somePeer)))
	require.ErrorContains(t, err, k.String())
}
