package main

// tlsMeasurements compare sessions whose connections are secured by TLS with those secured by
// Noise. They have no targets; they show what the choice costs.
func tlsMeasurements() []measurement {
	return []measurement{
		tlsCase("messages of 64 B", "messages-64", messages),
		tlsCase("messages of 1 KiB", "messages-1k", messages),
		tlsCase("messages of 64 KiB", "messages-64k", messages),
		tlsCase("messages of 1 MiB", "messages-1m", messages),
		tlsCase("round trip, 128 B", "roundtrip", p50),
		tlsCase("connect with session, 8 workers", "connect", connections),
	}
}

// tlsCase compares a metric of a case.
func tlsCase(title, name, metric string) measurement {
	overNoise := &reference{label: "tm2 over libp2p TCP with Noise", source: tm2("libp2p/" + name), metric: metric}

	return measurement{
		name: "TLS: " + title, ours: tm2("tls/" + name),
		checks: []check{{metric: metric, against: overNoise}},
	}
}
