package box

// Traffic counts what was sent from one place to another. Sizes are those of IP packets.
type Traffic struct {
	Packets, Bytes int64
	Dropped        int64 // packets, because the queue of the uplink was full
	Lost           int64 // packets, on the path
}

// Add returns the sum of both.
func (t Traffic) Add(o Traffic) Traffic {
	return Traffic{t.Packets + o.Packets, t.Bytes + o.Bytes, t.Dropped + o.Dropped, t.Lost + o.Lost}
}

// Sub returns the difference to an earlier count.
func (t Traffic) Sub(earlier Traffic) Traffic {
	return Traffic{
		t.Packets - earlier.Packets, t.Bytes - earlier.Bytes, t.Dropped - earlier.Dropped, t.Lost - earlier.Lost,
	}
}
