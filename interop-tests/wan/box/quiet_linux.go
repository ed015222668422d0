package box

import (
	"os"
	"runtime/debug"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// quietLimit is the memory, in bytes, at which the collector runs although a box is open.
const quietLimit = 1 << 30

// quiet is the state of this process while boxes are open. The router must not wait for
// threads that wait for the CPU, which takes 100 ms and more on a busy machine:
//
//   - The garbage collector does not run. It stops all goroutines until each thread has had
//     its turn.
//   - All threads have real-time priority if they may, except those of namespaces, from which
//     processes inherit theirs. Every 10 ms the Go scheduler passes the router's processor on
//     to another thread, which gives it back.
var quiet struct {
	mtx         sync.Mutex
	boxes       int
	prioritized bool
	// before holds the settings without a box.
	percent int
	limit   int64
}

// enterQuiet is called for each box that opens. It reports whether the threads have real-time
// priority.
func enterQuiet() bool {
	quiet.mtx.Lock()
	defer quiet.mtx.Unlock()
	if quiet.boxes++; quiet.boxes > 1 {
		return quiet.prioritized
	}
	quiet.percent = debug.SetGCPercent(-1)
	quiet.limit = debug.SetMemoryLimit(-1) // a negative limit changes nothing
	if quiet.limit > quietLimit {
		debug.SetMemoryLimit(quietLimit)
	}
	quiet.prioritized = schedule(&unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1})

	return quiet.prioritized
}

// leaveQuiet is called for each box that has closed.
func leaveQuiet() {
	quiet.mtx.Lock()
	defer quiet.mtx.Unlock()
	if quiet.boxes--; quiet.boxes > 0 {
		return
	}
	debug.SetMemoryLimit(quiet.limit)
	debug.SetGCPercent(quiet.percent)
	if quiet.prioritized {
		schedule(&unix.SchedAttr{Policy: unix.SCHED_NORMAL})
	}
}

// schedule sets the policy of all threads. Those that they start inherit it. It reports
// whether it was allowed.
func schedule(attr *unix.SchedAttr) bool {
	seen := make(map[string]bool)
	for again := true; again; { // until there is no new thread
		again = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return false
		}
		for _, t := range threads {
			if seen[t.Name()] {
				continue
			}
			seen[t.Name()], again = true, true
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				return false
			}
			if err := unix.SchedSetAttr(tid, attr, 0); err != nil && err != unix.ESRCH {
				return false
			}
		}
	}

	return true
}

// normal gives the calling thread, and the processes that it starts, normal priority.
func normal() error {
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil || attr.Policy == unix.SCHED_NORMAL {
		return err
	}

	return unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_NORMAL}, 0)
}
