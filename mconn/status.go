package mconn

import (
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// Status returns a snapshot of the traffic, which the caller owns. Its byte counts
// are those of the packets before encryption. SendQueueSize includes the message
// that is being sent. Before Start all counts are zero.
func (c *MConnection) Status() compat.ConnectionStatus {
	now := time.Now()

	c.mu.Lock()
	defer c.mu.Unlock()

	status := compat.ConnectionStatus{
		SendMonitor: c.sent.Status(now),
		RecvMonitor: c.received.Status(now),
		Channels:    make([]compat.ChannelStatus, 0, len(c.channels)),
	}
	if !c.started.IsZero() {
		status.Duration = now.Sub(c.started)
	}

	for _, ch := range c.channels {
		status.Channels = append(status.Channels, compat.ChannelStatus{
			ID:                ch.desc.ID,
			SendQueueCapacity: ch.desc.SendQueueCapacity,
			SendQueueSize:     int(ch.size.Load()),
			Priority:          ch.desc.Priority,
			RecentlySent:      c.sched.sentAt(ch, now),
		})
	}

	return status
}
