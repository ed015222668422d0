// Package tomlvalue has the forms that values take in a TM2 node's config.toml:
// durations in quotes, comma separated lists, listen addresses and peers. It
// serves the configurations of nodes (adapter/config) and of the bridge
// (cmd/tm2bridge/internal/config), which name the key at fault; errors here are the reason only.
package tomlvalue
