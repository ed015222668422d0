package process

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/wan/internal/clock"
)

const (
	// HubRole is the role of the hub.
	HubRole = "wan-hub"
	// BroadcastSize is the size of a broadcast in bytes: that of a vote.
	BroadcastSize = 200
	// ChBroadcast is the channel of broadcasts: that of votes.
	ChBroadcast byte = 0x22
	// BroadcastInterval is the time between two broadcasts, so that each meets an idle hub.
	BroadcastInterval = 500 * time.Millisecond
)

// HubSpec configures the process of the hub.
type HubSpec struct {
	Node  Config
	Peers int
	// Settle is how long the hub is left alone when all peers are there, and Idle how long
	// its CPU time is measured afterwards.
	Settle, Idle time.Duration
	Broadcasts   int
	Profile      string // file for a CPU profile of the broadcasts; "" for none
}

// runHub is the main function of the process.
func (newNode NewNode) runHub(ctx context.Context, specification json.RawMessage, say func(string)) error {
	var spec HubSpec
	if err := json.Unmarshal(specification, &spec); err != nil {
		return err
	}
	h := &hub{spec: spec, tell: func(e Event) { say(e.line()) }, all: make(chan struct{})}
	h.observer = &Observer{changed: h.changed}
	sw, err := newNode(spec.Node, h.observer)
	if err != nil {
		return err
	}
	if err := sw.Start(); err != nil {
		return errors.Join(err, sw.Close())
	}
	h.sw, h.before = sw, cpuTime()
	h.tell(Event{Ready: true})
	select {
	case <-h.all:
		h.measure(ctx)
	case <-ctx.Done():
	}
	<-ctx.Done()

	return sw.Close()
}

// hub is a running hub.
type hub struct {
	spec     HubSpec
	observer *Observer
	sw       Node
	tell     func(Event)
	before   time.Duration // CPU time when it was ready
	all      chan struct{} // closed when all peers are there for the first time
	once     sync.Once
}

// peersInterval is the number of peers after which the hub tells how many there are.
const peersInterval = 50

func (h *hub) changed(peers int) {
	if peers%peersInterval == 0 {
		h.tell(Event{Peers: peers})
	}
	if peers == h.spec.Peers {
		h.once.Do(func() { close(h.all) })
	}
}

// measure measures until the context ends.
func (h *hub) measure(ctx context.Context) {
	h.tell(Event{Connected: &Moment{At: clock.Now(), CPU: cpuTime() - h.before}})
	if !pause(ctx, h.spec.Settle) {
		return
	}
	// A sync.Pool frees its items in the second collection.
	runtime.GC()
	debug.FreeOSMemory()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	idle := Resources{Goroutines: runtime.NumGoroutine(), Heap: ms.HeapAlloc}
	begun, cpu := clock.Now(), cpuTime()
	if !pause(ctx, h.spec.Idle) {
		return
	}
	idle.CPU = (cpuTime() - cpu).Seconds() / (clock.Now() - begun).Seconds()
	h.tell(Event{Idle: &idle})

	stop, err := profile(h.spec.Profile)
	if err != nil {
		h.tell(Event{Failed: err.Error()})

		return
	}
	h.broadcast(ctx)
	if err := stop(); err != nil {
		h.tell(Event{Failed: err.Error()})
	}
}

// broadcast measures broadcasts until the context ends.
func (h *hub) broadcast(ctx context.Context) {
	begun, cpu := clock.Now(), cpuTime()
	for i := range h.spec.Broadcasts {
		msg := make([]byte, BroadcastSize)
		binary.BigEndian.PutUint64(msg, uint64(i))
		h.tell(Event{Broadcasting: &Moment{Number: i, At: clock.Now()}})
		h.sw.Broadcast(ChBroadcast, msg)
		if !pause(ctx, BroadcastInterval) {
			return
		}
	}
	h.tell(Event{Ended: &Ending{CPU: cpuTime() - cpu, Took: clock.Now() - begun, Peers: h.observer.count()}})
}

// profile begins a CPU profile in a file. stop ends it.
func profile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}

	return func() error { pprof.StopCPUProfile(); return f.Close() }, pprof.StartCPUProfile(f)
}

// pause waits and reports whether the context goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
