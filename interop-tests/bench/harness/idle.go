package harness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"time"
)

// settleTime is how long a hub with peers is left idle before its memory is measured.
// Goroutines that run only at the start of a connection have ended by then.
const settleTime = 1500 * time.Millisecond

// hubSpec describes the hub of a child process.
type hubSpec struct {
	Stack string
	Peers int
}

// hubState holds the resources of a hub with idle peers.
type hubState struct {
	Goroutines, Heap, Stack float64 // Heap and Stack in bytes
}

// idle measures the cost of one more idle peer: the slope between few and many peers. Each
// point is a new process.
func idle(r *Run, stack string) error {
	few, err := measureHub(hubSpec{Stack: stack, Peers: idleFewPeers})
	if err != nil {
		return err
	}
	many, err := measureHub(hubSpec{Stack: stack, Peers: idleManyPeers})
	if err != nil {
		return err
	}
	const peers = idleManyPeers - idleFewPeers
	r.Add("goroutines_per_peer", (many.Goroutines-few.Goroutines)/peers)
	r.Add("heap_KiB_per_peer", (many.Heap-few.Heap)/peers/1024)
	r.Add("stack_KiB_per_peer", (many.Stack-few.Stack)/peers/1024)

	return nil
}

func measureHub(spec hubSpec) (hubState, error) {
	var state hubState
	arg, err := json.Marshal(spec)
	if err != nil {
		return state, err
	}
	exe, err := os.Executable()
	if err != nil {
		return state, err
	}
	cmd := exec.Command(exe, commandHub, string(arg))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return state, fmt.Errorf("hub with %d peers: %w", spec.Peers, err)
	}

	return state, json.NewDecoder(bytes.NewReader(out)).Decode(&state)
}

// runHub is the main function of a hub's process.
func runHub(projects map[string]Project, arg string, out io.Writer) error {
	var spec hubSpec
	if err := json.Unmarshal([]byte(arg), &spec); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	nw, err := network(projects, spec.Stack, true)
	if err != nil {
		return err
	}
	hub, l, err := nw.start(spec.Stack, true, spec.Peers)
	if err != nil {
		return err
	}
	time.Sleep(settleTime)
	// A sync.Pool frees its items in the second collection.
	runtime.GC()
	debug.FreeOSMemory()

	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	err = json.NewEncoder(out).Encode(hubState{
		Goroutines: float64(runtime.NumGoroutine()), Heap: float64(ms.HeapAlloc), Stack: float64(ms.StackInuse),
	})

	return errors.Join(err, hub.Close(), l.stop())
}
