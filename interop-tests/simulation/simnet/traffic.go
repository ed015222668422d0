package simnet

import "sync/atomic"

// Traffic counts the traffic of a host.
type Traffic struct {
	BytesSent, BytesReceived   uint64 // payload, without packet headers
	WritesSent, WritesReceived uint64 // calls of Write by this host, and those of remotes that have arrived
	Dials, DialsFailed         uint64 // dials begun, and ended without a connection
	Accepts                    uint64
}

type counters struct {
	bytesSent, bytesReceived   atomic.Uint64
	writesSent, writesReceived atomic.Uint64
	dials, dialsFailed         atomic.Uint64
	accepts                    atomic.Uint64
}

func (c *counters) traffic() Traffic {
	return Traffic{
		BytesSent: c.bytesSent.Load(), BytesReceived: c.bytesReceived.Load(),
		WritesSent: c.writesSent.Load(), WritesReceived: c.writesReceived.Load(),
		Dials: c.dials.Load(), DialsFailed: c.dialsFailed.Load(), Accepts: c.accepts.Load(),
	}
}

// Sub returns the traffic since before.
func (t Traffic) Sub(before Traffic) Traffic {
	return Traffic{
		BytesSent: t.BytesSent - before.BytesSent, BytesReceived: t.BytesReceived - before.BytesReceived,
		WritesSent: t.WritesSent - before.WritesSent, WritesReceived: t.WritesReceived - before.WritesReceived,
		Dials: t.Dials - before.Dials, DialsFailed: t.DialsFailed - before.DialsFailed,
		Accepts: t.Accepts - before.Accepts,
	}
}
