package compat

import "time"

// ConnectionStatus is a snapshot of one connection, as PeerConn.Status returns
// it. It is a copy: the caller owns it.
type ConnectionStatus struct {
	// Duration is the time since the connection was started.
	Duration time.Duration
	// SendMonitor and RecvMonitor count the traffic of each direction.
	SendMonitor FlowStatus
	RecvMonitor FlowStatus
	// Channels has one entry for each channel, in the order of registration.
	Channels []ChannelStatus
}

// FlowStatus counts one direction of a connection.
type FlowStatus struct {
	// Start is when counting began.
	Start time.Time
	// Bytes is the number of bytes so far.
	Bytes int64
	// CurRate is the recent rate and AvgRate the rate since Start, in bytes a
	// second.
	CurRate int64
	AvgRate int64
}

// ChannelStatus is the sending side of one channel.
type ChannelStatus struct {
	ID                byte
	SendQueueCapacity int   // messages
	SendQueueSize     int   // messages waiting now
	Priority          int   // as in the ChannelDescriptor
	RecentlySent      int64 // bytes, decaying; what the scheduler divides by Priority
}
