package main

// alone refers to a case of one of our stacks without a bridge.
func alone(stack, name, metric string) *reference {
	return &reference{label: stack + " alone", source: tm2(stack + "/" + name), metric: metric}
}

// bridgeMeasurements are of a native node, a bridge and a libp2p node in one process: the nodes do
// what they do alone, and the bridge as much again. The round trip may take 150 µs more each way.
func bridgeMeasurements() []measurement {
	return []measurement{
		{
			name: "bridge: messages of 1 KiB, limits lifted", ours: tm2("bridge/messages-1k"),
			checks: []check{
				{metric: messages, against: alone("native", "messages-1k", messages)},
				{metric: messages, against: alone("libp2p", "messages-1k", messages)},
			},
		},
		{
			name: "bridge: messages of 64 KiB, limits lifted", ours: tm2("bridge/messages-64k"),
			checks: []check{
				{metric: messages, against: alone("native", "messages-64k", messages), atLeast: .5},
				{metric: messages, against: alone("libp2p", "messages-64k", messages)},
				{metric: cpuPerGB, against: alone("native", "messages-64k", cpuPerGB)},
			},
		},
		{
			name: "bridge: round trip, 128 B", ours: tm2("bridge/roundtrip"),
			checks: []check{
				{metric: p50, atMost: 300},
				{metric: p50, against: alone("native", "roundtrip", p50)},
				{metric: p50, against: alone("libp2p", "roundtrip", p50)},
			},
		},
		{
			name: "bridge: broadcast 1 KiB from a libp2p node to 20 native ones", ours: tm2("bridge/broadcast"),
			checks: []check{{metric: delivered, against: alone("libp2p", "broadcast", delivered)}},
		},
		{
			name: "bridge: 1 KiB from 20 native nodes to 20 libp2p ones, each to its peer", ours: tm2("bridge/pairs"),
			checks: []check{
				{metric: delivered, against: alone("native", "pairs", delivered)},
				{metric: delivered, against: alone("libp2p", "pairs", delivered)},
				{metric: delivered, against: gno("native/pairs", delivered)},
			},
		},
		{
			name: "bridge: idle pair, with the libp2p node's end", ours: tm2("bridge/idle"), steady: true,
			checks: []check{{metric: heap, atMost: 256}, {metric: goroutines, atMost: 8}},
		},
	}
}
