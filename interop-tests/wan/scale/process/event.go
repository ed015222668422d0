package process

import (
	"encoding/json"
	"fmt"
	"syscall"
	"time"
)

// Event is a line that a process says to its parent. One of the fields is set.
type Event struct {
	Ready        bool       `json:",omitempty"` // all its nodes listen
	Dialing      *Moment    `json:",omitempty"` // the first leaf dials
	Peers        int        `json:",omitempty"` // of the hub, now and then
	Connected    *Moment    `json:",omitempty"` // the hub has all peers
	Idle         *Resources `json:",omitempty"`
	Broadcasting *Moment    `json:",omitempty"`
	Reached      *Moment    `json:",omitempty"` // a broadcast has reached the last leaf of the process
	Ended        *Ending    `json:",omitempty"`
	Failed       string     `json:",omitempty"`
}

// Moment is when something happened.
type Moment struct {
	Number int           // of the broadcast
	At     time.Duration // clock.Now
	CPU    time.Duration // of the hub, since it was ready
}

// Resources is what the hub uses with idle peers.
type Resources struct {
	Goroutines int
	Heap       uint64  // bytes in use after a collection
	CPU        float64 // cores
}

// Ending is what the broadcasts took.
type Ending struct {
	CPU, Took time.Duration // of the hub, from the first broadcast until a while after the last
	Peers     int           // left
}

func (e Event) line() string {
	line, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("event %+v: %v", e, err)) // events are plain data
	}

	return string(line)
}

// ParseEvent returns the event of a line. Other lines are failures: processes say nothing else.
func ParseEvent(line string) Event {
	var e Event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		return Event{Failed: fmt.Sprintf("unexpected output %q: %v", line, err)}
	}

	return e
}

// cpuTime returns the user and system time of this process.
func cpuTime() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		panic("getrusage: " + err.Error()) // only for an unknown who
	}

	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
