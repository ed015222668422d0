// Package config reads the section [p2p] of a node's config.toml, under TM2's names, and
// turns it into options of a switch of package adapter.
//
//	cfg, warnings, err := config.LoadFile(path)        // or DefaultP2PConfig()
//	proxies, err := cfg.ProxyNetworks()
//	transport := native.NewMultiplexTransport(nodeInfo, nodeKey, cfg.MConnConfig(), logger,
//		native.WithProxyProtocol(proxies...))
//	addr, err := cfg.ListenNetAddress(nodeKey.ID())    // for transport.Listen
//	warning := cfg.UnknownPlace(advertised)            // for the log, if it is not empty
//	options, err := cfg.SwitchOptions()
//	sw := adapter.NewMultiplexSwitch(transport, append(options, reactors...)...)
//
// A node that has both stacks (adapter/dual) passes on Stack and Dial too:
//
//	transport, err := dual.NewTransport(nodeInfo, nodeKey, cfg.MConnConfig(), logger,
//		dual.WithStack(dual.Stack(cfg.Stack)), dual.WithDial(dual.DialPolicy(cfg.Dial)))
//
// A node on libp2p alone that has native peers in tunnels through bridges (bridge/tunnel):
//
//	bridges, peers, err := cfg.Tunnels()
//	transport := tunnel.NewTransport(side, nodeKey, cfg.MConnConfig(), bridges, peers, logger)
//
// P2PConfig has every key of a TM2 node, so the file of a node that moves here is read
// unchanged. TM2 v1.7.1 lacks some keys: unconditional_peer_ids, under CometBFT's name,
// blocked_peers, blocked_ips, proxy_protocol_networks, stack, dial, quic, libp2p_security,
// tunnel_bridges, tunnel_peer_ids and dht, and seed_mode and dial_timeout, which former versions had.
// docs/configuration.md lists all keys with defaults, units and limits.
package config
