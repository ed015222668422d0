// Package config is the section [p2p] of a node's config.toml, under TM2's names,
// and what it means to a switch of package adapter.
//
// P2PConfig has every key of a TM2 node, so the config.toml of a node that moves
// here is read unchanged, and two keys that TM2 does not have:
// unconditional_peer_ids, as CometBFT spells it, and dial_timeout.
//
//	cfg, warnings, err := config.LoadFile(path)        // or DefaultP2PConfig()
//	transport := native.NewMultiplexTransport(nodeInfo, nodeKey, cfg.MConnConfig(), logger)
//	addr, err := cfg.ListenNetAddress(nodeKey.ID())    // for transport.Listen
//	warning := cfg.UnknownPlace(advertised)            // for the log, if it is not empty
//	options, err := cfg.SwitchOptions()
//	sw := adapter.NewMultiplexSwitch(transport, append(options, reactors...)...)
//
// A value at fault is reported as a *FieldError, which names the key, the value
// and the reason. docs/configuration.md lists the keys with defaults, units and
// limits.
package config
