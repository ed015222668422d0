package bridgehttp

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// The samples of the last 15 minutes, and of the last 24 hours.
	recentInterval, maxRecent = 5 * time.Second, 180
	dayInterval, maxDay       = 5 * time.Minute, 288
)

// History is what /history answers, each list with the oldest sample first.
type History struct {
	Schema int      `json:"schema"`
	Recent []Sample `json:"recent"` // of the last 15 minutes, one every 5 seconds
	Day    []Sample `json:"day"`    // of the last 24 hours, one every 5 minutes
}

// Sample is the state of a bridge at a time. Totals count since the bridge started.
type Sample struct {
	Time       time.Time `json:"time"`
	Pairs      int       `json:"pairs"`
	Waiting    int       `json:"waiting"`
	SlotsTaken int       `json:"slots_taken"`
	Queued     int       `json:"queued"` // messages in all queues
	Native     int       `json:"native"` // nodes seen within 24 hours, by their stack
	Libp2p     int       `json:"libp2p"`
	Messages   uint64    `json:"messages"`
	ToLibp2p   uint64    `json:"to_libp2p"` // bytes
	ToNative   uint64    `json:"to_native"`
}

// recorder takes the samples of a History.
type recorder struct {
	mtx         sync.Mutex
	recent, day []Sample
}

// run takes samples until the context ends.
func (r *recorder) run(ctx context.Context, source Source) {
	ticker := time.NewTicker(recentInterval)
	defer ticker.Stop()
	for {
		r.add(sample(source))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func sample(source Source) Sample {
	s := source.Status()
	refused, _ := refusedNow(s)
	now := Sample{
		Time: time.Now().UTC(), Pairs: len(s.Pairs), Waiting: refused, SlotsTaken: s.SlotsTaken,
		Native: s.Seen.Native, Libp2p: s.Seen.Libp2p,
		Messages: s.ToLibp2p.Messages + s.ToNative.Messages, ToLibp2p: s.ToLibp2p.Bytes, ToNative: s.ToNative.Bytes,
	}
	for _, p := range s.Pairs {
		now.Queued += p.Native.Queued + p.Libp2p.Queued
	}

	return now
}

func (r *recorder) add(s Sample) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	r.recent = push(r.recent, s, maxRecent)
	if len(r.day) == 0 || s.Time.Sub(r.day[len(r.day)-1].Time) >= dayInterval {
		r.day = push(r.day, s, maxDay)
	}
}

func push(list []Sample, s Sample, limit int) []Sample {
	if len(list) == limit {
		list = slices.Delete(list, 0, 1)
	}

	return append(list, s)
}

// snapshot returns the history. The day ends with the latest sample.
func (r *recorder) snapshot() History {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	h := History{Schema: Schema, Recent: slices.Clone(r.recent), Day: slices.Clone(r.day)}
	if n := len(r.recent); n > 0 && r.recent[n-1].Time.After(h.Day[len(h.Day)-1].Time) {
		h.Day = append(h.Day, r.recent[n-1])
	}

	return h
}
