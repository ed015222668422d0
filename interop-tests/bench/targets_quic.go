package main

// quicMeasurements compare our sessions over QUIC with those over TCP, Noise and yamux, and
// with plain go-libp2p streams over QUIC. They have no targets; they show the cost of QUIC.
func quicMeasurements() []measurement {
	const (
		buffered = "go-libp2p stream over QUIC, 64 KiB buffer"
		plain    = "go-libp2p stream over QUIC"
	)

	return []measurement{
		quicCase("messages of 64 B", "messages-64", buffered, messages),
		quicCase("messages of 1 KiB", "messages-1k", buffered, messages),
		quicCase("messages of 64 KiB", "messages-64k", buffered, messages),
		quicCase("messages of 1 MiB", "messages-1m", buffered, messages),
		quicCase("round trip, 128 B", "roundtrip", plain, p50),
		quicCase("128 B of high priority under 1 MiB flood", "priority", "two go-libp2p streams over QUIC", p50, p99),
		quicCase("broadcast 1 KiB to 20 peers", "broadcast", buffered, delivered),
		quicCase("connect with session, 8 workers", "connect", "go-libp2p Connect over QUIC", connections),
	}
}

// quicCase compares the metrics of a case with those over TCP and those of plain streams,
// which label names.
func quicCase(title, name, label string, metrics ...string) measurement {
	m := measurement{name: "QUIC: " + title, ours: tm2("quic/" + name)}
	for _, metric := range metrics {
		overTCP := &reference{label: "tm2 over libp2p TCP", source: tm2("libp2p/" + name), metric: metric}
		m.checks = append(m.checks,
			check{metric: metric, against: overTCP},
			check{metric: metric, against: raw(label, "quic/"+name, metric)})
	}

	return m
}
