package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/bridge"
	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

type keyVector struct {
	NodeID    types.ID          `json:"node_id"`
	PublicKey string            `json:"public_key"`
	KeyFiles  map[string]string `json:"node_key_json"` // by dialect
}

func keyVectors(t *testing.T) (vectors []keyVector) {
	data, err := os.ReadFile(filepath.Join("testdata", "node_keys.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &vectors))
	require.NotEmpty(t, vectors)

	return vectors
}

func (v keyVector) peerID(t *testing.T) string {
	raw, err := hex.DecodeString(v.PublicKey)
	require.NoError(t, err)
	key, err := crypto.UnmarshalEd25519PublicKey(ed25519.PublicKey(raw))
	require.NoError(t, err)
	id, err := peer.IDFromPublicKey(key)
	require.NoError(t, err)

	return id.String()
}

func TestIDOfVectors(t *testing.T) {
	for _, v := range keyVectors(t) {
		for dialect, file := range v.KeyFiles {
			t.Run(dialect+" "+v.NodeID.String(), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "key.json")
				require.NoError(t, os.WriteFile(path, []byte(file), 0o600))
				status, stdout, stderr := call(t, "id", "--key", path)
				require.Zero(t, status, stderr)
				require.Contains(t, stdout, "TM2 ID             "+v.NodeID.String()+"\n")
				require.Contains(t, stdout, "peer ID            "+v.peerID(t)+"\n")
				require.Contains(t, stdout, "/tcp/36656/p2p/"+v.peerID(t)+"\n")
			})
		}
	}
}

func TestIDOfHome(t *testing.T) {
	v := keyVectors(t)[0]
	home := t.TempDir()
	require.NoError(t, os.WriteFile(config.NodeKeyPath(home), []byte(v.KeyFiles["C"]), 0o600))
	require.NoError(t, os.WriteFile(config.Path(home), []byte("[p2p]\nladdr = \"127.0.0.1:9\"\n[bridge]\nlibp2p_laddr = \"tcp://[2001:db8::7]:99\""), 0o600))

	status, stdout, stderr := call(t, "id", "--home", home)
	require.Zero(t, status, stderr)
	require.Equal(t, "native nodes dial  "+v.NodeID.String()+"@127.0.0.1:9"+
		"\nlibp2p nodes dial  "+v.NodeID.String()+"@[2001:db8::7]:99"+
		"\nTM2 ID             "+v.NodeID.String()+
		"\npeer ID            "+v.peerID(t)+
		"\nmultiaddr          /ip6/2001:db8::7/tcp/99/p2p/"+v.peerID(t)+"\n", stdout)

	require.NoError(t, os.WriteFile(config.Path(home), []byte("[bridge]\nlibp2p_quic = true"), 0o600))
	status, stdout, stderr = call(t, "id", "--home", home)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "/tcp/36656/p2p/"+v.peerID(t)+"\n")
	require.Contains(t, stdout, "/udp/36656/quic-v1/p2p/"+v.peerID(t)+"\n")
}

// Each identity has an ID and a port, and each tunnel the ID of its node.
func TestIDOfIdentitiesAndTunnels(t *testing.T) {
	dir, node := home(t), types.GenerateNodeKey().ID()
	status, _, stderr := call(t, "init")
	require.Zero(t, status, stderr)
	require.NoError(t, os.WriteFile(config.Path(dir), fmt.Appendf(nil,
		"[p2p]\nladdr = \"127.0.0.1:9\"\n[bridge]\nidentities = 2\ntunnels = \"%s=77\"", node), 0o600))
	key, err := types.LoadNodeKey(config.NodeKeyPath(dir))
	require.NoError(t, err)
	own, err := bridge.Config{Identities: 2}.NativeAddresses(*key)
	require.NoError(t, err)
	require.Equal(t, key.ID(), own[0].ID)

	status, stdout, stderr := call(t, "id")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, fmt.Sprintf("native nodes dial  %s@127.0.0.1:9\nnative nodes dial  %s@127.0.0.1:10\ntunnel             %s@127.0.0.1:77\n",
		own[0].ID, own[1].ID, node))
}

func TestInitThenID(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	status, stdout, stderr := call(t, "init", "--home", home)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, config.Path(home))
	key, err := types.LoadNodeKey(config.NodeKeyPath(home))
	require.NoError(t, err)
	require.Contains(t, stdout, key.ID().String())

	status, stdout, stderr = call(t, "id", "--home", home)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "TM2 ID             "+key.ID().String()+"\n")

	require.NoError(t, os.Remove(config.Path(home)))
	status, stdout, stderr = call(t, "init", "--home", home)
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "config    made "+config.Path(home))
	require.Contains(t, stdout, "node key  kept "+config.NodeKeyPath(home))
	again, err := types.LoadNodeKey(config.NodeKeyPath(home))
	require.NoError(t, err)
	require.Equal(t, key.ID(), again.ID())
}

// A key in a working tree is soon committed.
func TestInitInAWorkingTree(t *testing.T) {
	tree := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(tree, ".git"), 0o700))
	status, _, stderr := call(t, "init", "--home", filepath.Join(tree, "bridge"))
	require.Zero(t, status)
	require.Contains(t, stderr, "do not commit the private key")
}

func TestDefaultHomeIsUsed(t *testing.T) {
	dir := home(t)
	status, _, stderr := call(t, "init")
	require.Zero(t, status, stderr)
	require.FileExists(t, config.NodeKeyPath(dir))
	status, _, stderr = call(t, "id")
	require.Zero(t, status, stderr)
}

// The ID under which a node is shown depends on the bridge's key and the node alone.
func TestIDOfANode(t *testing.T) {
	home(t)
	status, _, stderr := call(t, "init")
	require.Zero(t, status, stderr)
	node := types.GenerateNodeKey().ID().String()
	status, shown, stderr := call(t, "id", "--of", node)
	require.Zero(t, status, stderr)
	_, err := types.ParseID(strings.TrimSpace(shown))
	require.NoError(t, err)
	_, again, _ := call(t, "id", "--of", node)
	require.Equal(t, shown, again)
	home(t)
	_, _, _ = call(t, "init")
	_, other, _ := call(t, "id", "--of", node)
	require.NotEqual(t, shown, other)
}

func TestReachable(t *testing.T) {
	fixed := types.NetAddress{IP: net.IPv4(192, 0, 2, 1), Port: 5}
	require.Equal(t, []types.NetAddress{fixed}, reachable(fixed))

	both := reachable(types.NetAddress{IP: net.IPv4zero, Port: 5})
	for _, addr := range both {
		require.False(t, addr.IP.IsLinkLocalUnicast())
		require.True(t, strings.HasSuffix(addr.DialString(), ":5"))
	}
	require.Equal(t, both, reachable(types.NetAddress{IP: net.IPv6unspecified, Port: 5}))
}
