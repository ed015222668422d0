package dropin

import (
	"github.com/gnolang/gno/tm2/pkg/flow"
	"github.com/gnolang/gno/tm2/pkg/p2p"
	"github.com/gnolang/gno/tm2/pkg/p2p/conn"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// ConnectionStatus converts a status to gno's type. The fields that only gno counts are
// zero: samples, peak and instantaneous rates, and transfers of a known size.
func ConnectionStatus(s compat.ConnectionStatus) p2p.ConnectionStatus {
	return p2p.ConnectionStatus{
		Duration:    s.Duration,
		SendMonitor: flowStatus(s, s.SendMonitor),
		RecvMonitor: flowStatus(s, s.RecvMonitor),
		Channels:    convert(s.Channels, func(c compat.ChannelStatus) conn.ChannelStatus { return conn.ChannelStatus(c) }),
	}
}

func flowStatus(s compat.ConnectionStatus, f compat.FlowStatus) flow.Status {
	return flow.Status{
		Active:   true,
		Start:    f.Start,
		Duration: s.Duration,
		Bytes:    f.Bytes,
		CurRate:  f.CurRate,
		AvgRate:  f.AvgRate,
	}
}

// FromConnectionStatus converts a status from gno's type.
func FromConnectionStatus(s p2p.ConnectionStatus) compat.ConnectionStatus {
	return compat.ConnectionStatus{
		Duration:    s.Duration,
		SendMonitor: fromFlowStatus(s.SendMonitor),
		RecvMonitor: fromFlowStatus(s.RecvMonitor),
		Channels:    convert(s.Channels, func(c conn.ChannelStatus) compat.ChannelStatus { return compat.ChannelStatus(c) }),
	}
}

func fromFlowStatus(f flow.Status) compat.FlowStatus {
	return compat.FlowStatus{Start: f.Start, Bytes: f.Bytes, CurRate: f.CurRate, AvgRate: f.AvgRate}
}
