// Package config reads and writes config.toml and the home directory of
// tm2bridge.
//
// The file has two sections. [p2p] uses the key names and value formats of a TM2
// node, so that the section of a node's own config.toml can be taken over as it
// is; [bridge] holds what only a bridge needs. Sections that belong to other
// parts of a TM2 node are skipped, while a key that neither TM2 nor the bridge
// knows is an error that names it. A key of TM2 that does nothing in a bridge is
// accepted with a warning.
//
// A home directory holds config.toml and node_key.json.
package config
