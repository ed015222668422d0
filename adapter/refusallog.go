package adapter

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/netgroup"
)

const (
	// refusalInterval is the shortest time between two lines about refusals of one kind.
	refusalInterval = time.Minute
	// maxRefusalKinds bounds the kinds that are told apart. Beyond it all others are one kind.
	maxRefusalKinds = 256
)

// refusalLog logs refusals, which strangers can cause without end: one a minute for each
// network and reason at Info, with the number of those since, and the others at Debug.
type refusalLog struct {
	mtx   sync.Mutex
	kinds map[refusalKind]*refusalLine
}

type refusalKind struct {
	network netip.Prefix
	code    compat.RejectCode
}

type refusalLine struct {
	next  time.Time // when a refusal is next logged at Info
	since int
}

func (l *refusalLog) log(logger *slog.Logger, id types.ID, addr net.Addr, outbound bool, reason error) {
	kind := refusalKind{network: netgroup.Around(netgroup.FromAddr(addr))[0]}
	if reject, ok := errors.AsType[*compat.RejectError](reason); ok {
		kind.code = reject.Code
	}
	level, attrs := slog.LevelInfo, []any{"peer", id, "address", addr, "outbound", outbound, "err", reason}
	if since, due := l.due(kind); !due {
		level = slog.LevelDebug
	} else if since > 0 {
		attrs = append(attrs, "others_since_last_line", since)
	}
	logger.Log(context.Background(), level, "peer refused", attrs...)
}

// due reports whether a refusal of the kind is logged at Info, and how many were not since
// the last one.
func (l *refusalLog) due(kind refusalKind) (since int, due bool) {
	l.mtx.Lock()
	defer l.mtx.Unlock()
	now := time.Now()
	if l.kinds[kind] == nil && len(l.kinds) >= maxRefusalKinds {
		maps.DeleteFunc(l.kinds, func(_ refusalKind, line *refusalLine) bool { return !now.Before(line.next) })
		if len(l.kinds) >= maxRefusalKinds {
			kind = refusalKind{}
		}
	}
	line := l.kinds[kind]
	if line == nil {
		line = &refusalLine{}
		l.kinds[kind] = line
	}
	if now.Before(line.next) {
		line.since++

		return 0, false
	}
	since = line.since
	line.next, line.since = now.Add(refusalInterval), 0

	return since, true
}
