package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/dual"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// TestStackAndDialAreThoseOfDual checks that a section may name what a node with both stacks
// knows, and nothing else.
func TestStackAndDialAreThoseOfDual(t *testing.T) {
	for _, name := range []string{
		string(dual.StackNative), string(dual.StackDual), string(dual.StackLibp2p),
		string(dual.DialAuto), string(dual.DialNativeFirst), string(dual.DialLibp2pFirst), string(dual.DialNative), string(dual.DialLibp2p),
		"", "both", "none",
	} {
		cfg := config.DefaultP2PConfig()
		cfg.Stack = name
		_, err := dual.ParseStack(name)
		require.Equal(t, err == nil, cfg.ValidateBasic() == nil, name)

		cfg = config.DefaultP2PConfig()
		cfg.Dial = name
		_, err = dual.ParseDialPolicy(name)
		require.Equal(t, err == nil, cfg.ValidateBasic() == nil, name)
	}
}

// TestNodeWithBothStacks makes a node of a section, which has the stack of the section.
func TestNodeWithBothStacks(t *testing.T) {
	nodes := make(map[string]*dual.Transport)
	for _, stack := range []string{"native", "dual", "libp2p"} {
		cfg, warnings, err := config.Parse([]byte("[p2p]\nladdr = \"tcp://127.0.0.1:0\"\nstack = \"" + stack + "\"\ndial = \"libp2p\""))
		require.NoError(t, err)
		require.Empty(t, warnings)
		key := types.GenerateNodeKey()
		at, err := cfg.ListenNetAddress(key.ID())
		require.NoError(t, err)
		info := types.NodeInfo{
			VersionSet: types.VersionSet{{Name: "p2p", Version: "v1.0.0"}},
			NetAddress: &at, Network: "example", Version: "v1.0.0", Channels: []byte{channel}, Moniker: "node",
		}
		nodes[stack], err = dual.NewTransport(info, *key, cfg.MConnConfig(), nil,
			dual.WithStack(dual.Stack(cfg.Stack)), dual.WithDial(dual.DialPolicy(cfg.Dial)))
		require.NoError(t, err)
		defer func() { require.NoError(t, nodes[stack].Close()) }()
		require.NoError(t, nodes[stack].Listen(at))
	}
	// The libp2p host listens only where libp2p peers are accepted.
	require.Empty(t, nodes["native"].Libp2p().Host().Network().ListenAddresses())
	require.NotEmpty(t, nodes["dual"].Libp2p().Host().Network().ListenAddresses())
	require.NotEmpty(t, nodes["libp2p"].Libp2p().Host().Network().ListenAddresses())
}
