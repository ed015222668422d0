package bridge

import (
	"testing"
	"time"
)

// What the bridge counts for each message that it relays: BenchmarkCounters is that alone, and
// go run ./interop-tests/bench -only '^bridge: round' has a whole round trip beside it.
func BenchmarkCounters(b *testing.B) {
	j := newJournal()
	p := &pair{bridge: &Bridge{journal: j}}
	to := &side{pair: p, name: InitiatorLibp2p, total: &meter{}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			begin := time.Now()
			to.count(1, 1024)
			j.meterOf(to.name).relayed(chTxs, 1024, time.Since(begin))
		}
	})
}
