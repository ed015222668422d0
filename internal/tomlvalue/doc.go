// Package tomlvalue reads the sections of a config.toml into structs, and has the forms that
// values take there in a TM2 node: durations in quotes, comma separated lists, listen
// addresses and peers. It serves the configurations of nodes (adapter/config, dropin) and of
// the bridge (cmd/tm2bridge/internal/config). The caller decides whether an unknown key is a
// warning or an error.
package tomlvalue
