package main

import "slices"

// The metrics that the programs report and the table shows.
const (
	rate        = "rate_MBps"
	messages    = "messages_ps"
	cpuPerGB    = "cpu_s_per_GB"
	allocs      = "allocs_per_message"
	p50         = "p50_us"
	p99         = "p99_us"
	delivered   = "delivered_ps"
	hubCPU      = "hub_cpu_us_per_message"
	connections = "connections_ps"
	heap        = "heap_KiB_per_peer"
	goroutines  = "goroutines_per_peer"
	sealRate    = "seal_MBps"
	foreignCPU  = "foreign_cpu"
)

// measurements returns all measurements. Their targets are for two cores.
func measurements() []measurement {
	return slices.Concat(nativeMeasurements(), libp2pMeasurements(), tlsMeasurements(), quicMeasurements(), bridgeMeasurements())
}

func tm2(name string) source { return source{program: "tm2", name: name} }

// gno refers to the case of the same name in gno.
func gno(name, metric string) *reference {
	return &reference{label: "gno v1.7.1", source: source{"gno", name}, metric: metric}
}

// comet refers to the case of the same name in CometBFT.
func comet(name, metric string) *reference {
	return &reference{label: "CometBFT v0.40.0", source: source{"comet", name}, metric: metric}
}

// raw refers to a case of the layers below.
func raw(label, name, metric string) *reference {
	return &reference{label: label, source: source{"raw", name}, metric: metric}
}

func nativeMeasurements() []measurement {
	return []measurement{
		{
			name: "native: secret connection, 64 KiB writes", ours: tm2("native/secretconn"),
			checks: []check{
				{metric: rate, against: gno("native/secretconn", rate)},
				{metric: rate, against: comet("native/secretconn", rate), atLeast: 1.2},
				{metric: rate, against: raw("ChaCha20-Poly1305, 1 KiB, one core", "crypto/chacha20poly1305-1k", sealRate), atLeast: .6},
				{metric: rate, against: raw("sealing, opening and TCP together", "sealed/secretconn", rate), atLeast: .95},
				{metric: cpuPerGB, against: raw("sealing, opening and TCP together", "sealed/secretconn", cpuPerGB), atMost: 1 / .95},
			},
		},
		nativeMessages("64 B", "native/messages-64", 5, 1.8, check{metric: allocs, atMost: 1}),
		nativeMessages("1 KiB", "native/messages-1k", 4.5, 1.3, check{metric: allocs, atMost: 1}, ofSecretConn()),
		nativeMessages("64 KiB", "native/messages-64k", 5, 1.4),
		nativeMessages("1 MiB", "native/messages-1m", 5, 1.4, ofSecretConn()),
		{
			name: "native: round trip, 128 B, default configuration", ours: tm2("native/roundtrip"),
			checks: []check{
				{metric: p50, against: gno("native/roundtrip", p50), atMost: 1. / 2000},
				{metric: p50, against: comet("native/roundtrip", p50), atMost: 1. / 200},
				{metric: p50, against: raw("TCP", "tcp/roundtrip", p50), atMost: 3},
			},
		},
		{
			name: "native: 128 B of high priority under 1 MiB flood, limits lifted", ours: tm2("native/priority"),
			checks: []check{
				{metric: p50, against: gno("native/priority", p50), atMost: 1. / 15},
				{metric: p99, against: gno("native/priority", p99), atMost: 1. / 7},
				{metric: p50, against: comet("native/priority", p50), atMost: 1. / 6},
				{metric: p99, against: comet("native/priority", p99), atMost: 1. / 3},
			},
		},
		{
			name: "native: 128 B of high priority under 1 MiB flood, default limits", ours: tm2("native/priority-limited"),
			checks: []check{
				{metric: p50, against: gno("native/priority-limited", p50), atMost: 1. / 15},
				{metric: p99, against: gno("native/priority-limited", p99), atMost: 1. / 15},
				{metric: p50, against: comet("native/priority-limited", p50), atMost: 1. / 15},
				{metric: p99, against: comet("native/priority-limited", p99), atMost: 1. / 15},
			},
		},
		{
			name: "native: broadcast 1 KiB to 20 peers, limits lifted", ours: tm2("native/broadcast"),
			checks: []check{
				{metric: delivered, against: gno("native/broadcast", delivered), atLeast: 4},
				{metric: delivered, against: comet("native/broadcast", delivered), atLeast: 2.5},
				{metric: hubCPU, atMost: 2.5},
			},
		},
		{
			name: "native: dial and accept with NodeInfo, 8 workers", ours: tm2("native/connect"),
			checks: []check{
				{metric: connections, against: gno("native/connect", connections), atLeast: 1.3},
			},
		},
		{
			name: "native: idle peer with 7 channels", ours: tm2("native/idle"), steady: true,
			checks: []check{
				{metric: heap, against: gno("native/idle", heap), atMost: 1. / 8},
				{metric: heap, against: comet("native/idle", heap), atMost: 1. / 5},
				{metric: heap, atMost: 64},
				{metric: goroutines, atMost: 3},
			},
		},
	}
}

// ofSecretConn compares messages with the secret connection below them.
func ofSecretConn() check {
	return check{
		metric: rate, atLeast: .9,
		against: &reference{label: "tm2's secret connection", source: tm2("native/secretconn"), metric: rate},
	}
}

func nativeMessages(size, name string, overGno, overComet float64, more ...check) measurement {
	return measurement{
		name: "native: messages of " + size + ", limits lifted", ours: tm2(name),
		checks: append([]check{
			{metric: messages, against: gno(name, messages), atLeast: overGno},
			{metric: messages, against: comet(name, messages), atLeast: overComet},
		}, more...),
	}
}

// Plain streams, as the table names them.
const (
	buffered = "go-libp2p stream, 64 KiB buffer"
	plain    = "go-libp2p stream"
)

func libp2pMeasurements() []measurement {
	return []measurement{
		libp2pMessages("64 B", "libp2p/messages-64", 150, .6, check{metric: allocs, atMost: 2}),
		libp2pMessages("1 KiB", "libp2p/messages-1k", 40, .7, check{metric: allocs, atMost: 2}),
		// Noise and yamux allocate for each of their frames.
		libp2pMessages("64 KiB", "libp2p/messages-64k", 2.5, .8,
			check{metric: allocs, against: raw(buffered, "libp2p/messages-64k", allocs)}),
		libp2pMessages("1 MiB", "libp2p/messages-1m", 2.5, .8,
			check{metric: allocs, against: raw(buffered, "libp2p/messages-1m", allocs)}),
		{
			name: "libp2p: round trip, 128 B", ours: tm2("libp2p/roundtrip"),
			checks: []check{
				{metric: p50, against: comet("libp2p/roundtrip", p50), atMost: 1. / 2},
				{metric: p50, against: raw(plain, "libp2p/roundtrip", p50), atMost: 2.5},
			},
		},
		{
			name: "libp2p: 128 B of high priority under 1 MiB flood", ours: tm2("libp2p/priority"),
			checks: []check{
				{metric: p50, against: comet("libp2p/priority", p50), atMost: 1},
				{metric: p99, against: comet("libp2p/priority", p99), atMost: 1},
				{metric: p50, against: raw("two go-libp2p streams", "libp2p/priority", p50), atMost: 1},
				{metric: p99, against: raw("two go-libp2p streams", "libp2p/priority", p99), atMost: 1},
			},
		},
		{
			name: "libp2p: broadcast 1 KiB to 20 peers", ours: tm2("libp2p/broadcast"),
			checks: []check{
				{metric: delivered, against: comet("libp2p/broadcast", delivered), atLeast: 20},
				{metric: delivered, against: raw(buffered, "libp2p/broadcast", delivered), atLeast: .6},
			},
		},
		{
			name: "libp2p: idle peer", ours: tm2("libp2p/idle"), steady: true,
			checks: []check{{metric: heap, against: raw(buffered, "libp2p/idle", heap), atMost: 1.4}},
		},
		{
			name: "libp2p: connect with session, 8 workers", ours: tm2("libp2p/connect"),
			checks: []check{
				{metric: connections, against: raw("go-libp2p Connect", "libp2p/connect", connections), atLeast: .75},
			},
		},
	}
}

func libp2pMessages(size, name string, overComet, overRaw float64, more ...check) measurement {
	return measurement{
		name: "libp2p: messages of " + size, ours: tm2(name),
		checks: append([]check{
			{metric: messages, against: comet(name, messages), atLeast: overComet},
			{metric: messages, against: raw(buffered, name, messages), atLeast: overRaw},
		}, more...),
	}
}
