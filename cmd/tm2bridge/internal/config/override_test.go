package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/tm2bridge/internal/config"
)

// A flag counts over the environment, and that over the file.
func TestOverrides(t *testing.T) {
	file := []byte("[p2p]\nladdr = \"127.0.0.1:1\"\n[bridge]\nmax_pairs = 2")
	overrides, err := config.FromEnvironment([]string{
		"HOME=/", "TM2BRIDGE_HOME=x", "TM2BRIDGE_P2P_LADDR=127.0.0.1:3", "TM2BRIDGE_BRIDGE_MAX_PAIRS=4",
		"TM2BRIDGE_HTTP_PPROF=true", "TM2BRIDGE_P2P_FLUSH_THROTTLE_TIMEOUT=7ms", "TM2BRIDGE_P2P_SEND_RATE=9",
	})
	require.NoError(t, err)
	cfg, _, err := config.Parse(file, append(overrides, config.Override{Key: "bridge.max_pairs", Value: "5", From: "--bridge.max_pairs"})...)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:3", cfg.P2P.ListenAddress)
	require.Equal(t, 5, cfg.Bridge.MaxPairs)
	require.True(t, cfg.HTTP.Pprof)
	require.Equal(t, "7ms", cfg.P2P.FlushThrottleTimeout.String())
	require.EqualValues(t, 9, cfg.P2P.SendRate)
}

// Every key has a variable and a flag, with the same name.
func TestEveryKeyCanBeOverridden(t *testing.T) {
	for _, k := range config.Keys() {
		_, _, err := config.Parse(nil, config.Override{Key: k.Name, Value: "?", From: "--" + k.Name})
		if err != nil {
			require.ErrorContains(t, err, "--"+k.Name+": ")
		}
		require.NotEmpty(t, k.Comment)
	}
}

// Kubernetes tells each container about the services beside it, such as one in front of the bridge.
func TestVariablesOfAServiceSetNothing(t *testing.T) {
	overrides, err := config.FromEnvironment([]string{
		"TM2BRIDGE_SERVICE_HOST=10.0.0.1", "TM2BRIDGE_SERVICE_PORT=26656", "TM2BRIDGE_SERVICE_PORT_NATIVE=26656",
		"TM2BRIDGE_PORT=tcp://10.0.0.1:26656", "TM2BRIDGE_PORT_26656_TCP=tcp://10.0.0.1:26656",
		"TM2BRIDGE_PORT_26656_TCP_PROTO=tcp", "TM2BRIDGE_PORT_26656_TCP_PORT=26656", "TM2BRIDGE_PORT_26656_TCP_ADDR=10.0.0.1",
		"TM2BRIDGE_METRICS_SERVICE_HOST=10.0.0.2", "TM2BRIDGE_METRICS_PORT=tcp://10.0.0.2:9100",
	})
	require.NoError(t, err)
	require.Empty(t, overrides)
	_, err = config.FromEnvironment([]string{"TM2BRIDGE_HTTP_PORT=9100"})
	require.ErrorContains(t, err, "TM2BRIDGE_HTTP_PORT: there is no such variable")
}

// An error names where the value comes from, and not a line of the file.
func TestBadOverrideIsBlamed(t *testing.T) {
	_, err := config.FromEnvironment([]string{"TM2BRIDGE_P2P_LADR=x"})
	require.EqualError(t, err, `TM2BRIDGE_P2P_LADR: there is no such variable; did you mean "TM2BRIDGE_P2P_LADDR"?`)

	path := filepath.Join(t.TempDir(), "config.toml")
	require.NoError(t, os.WriteFile(path, []byte("[bridge]\nmax_pairs = 1"), 0o600))
	for value, want := range map[string]string{"many": "it must be a whole number", "-1": "it must be at least 1"} {
		_, _, err := config.Load(path, config.Override{Key: "bridge.max_pairs", Value: value, From: "--bridge.max_pairs"})
		require.ErrorContains(t, err, "--bridge.max_pairs: [bridge].max_pairs = ")
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "line")
	}
	_, _, err = config.Parse(nil, config.Override{Key: "bridge.pairs", From: "--bridge.pairs"})
	require.ErrorContains(t, err, "no key bridge.pairs")
}
