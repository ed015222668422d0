package bridge

import (
	"testing"
	"time"
)

// What the bridge counts for each message that it relays, alone: by one pair at a time, and by
// pairs that count on one channel at once.
func BenchmarkCounters(b *testing.B) {
	j := newJournal()
	p := &pair{bridge: &Bridge{journal: j}}
	to := &side{pair: p, name: InitiatorLibp2p, total: &meter{}}
	count := func() {
		begin := time.Now()
		to.count(1, 1024)
		j.meterOf(to.name).relayed(chTxs, 1024, time.Since(begin))
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			count()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				count()
			}
		})
	})
}
