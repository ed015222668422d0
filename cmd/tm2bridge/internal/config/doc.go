// Package config reads and writes config.toml and the home directory of
// tm2bridge.
//
// The file has two sections. [p2p] has the keys and value formats of a TM2 node, so the
// section of a node's config.toml can be copied. [bridge] has the keys that only a bridge
// needs. Other sections of a TM2 node are skipped. A key of a TM2 node that has no effect
// on a bridge is accepted with a warning; an unknown key is an error that names it.
//
// A home directory holds config.toml and node_key.json.
package config
