package harness

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var errNothing = errors.New("nothing arrived")

// usage is the resource usage of this process since its start or between two moments.
type usage struct {
	at         time.Time
	wall       time.Duration // between two moments
	cpu        time.Duration // user and system
	mallocs    uint64
	allocBytes uint64
}

func snapshot() usage {
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)

	return usage{
		at: time.Now(), cpu: cpuTime(syscall.RUSAGE_SELF), mallocs: ms.Mallocs, allocBytes: ms.TotalAlloc,
	}
}

func (u usage) sub(earlier usage) usage {
	return usage{
		wall: u.at.Sub(earlier.at), cpu: u.cpu - earlier.cpu,
		mallocs: u.mallocs - earlier.mallocs, allocBytes: u.allocBytes - earlier.allocBytes,
	}
}

// cpuTime returns the user and system time of this process, or of its children that have
// ended.
func cpuTime(who int) time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(who, &ru); err != nil {
		panic(fmt.Sprintf("getrusage: %v", err)) // only for an unknown who
	}

	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// others measures the CPU time of all other processes.
type others struct {
	at        time.Time
	own, busy time.Duration
}

func watchOthers() others { return others{at: time.Now(), own: ownTime(), busy: busyTime()} }

// cores returns how many cores other processes have used on average.
func (o others) cores() float64 {
	used := (busyTime() - o.busy) - (ownTime() - o.own)

	return max(0, used.Seconds()/time.Since(o.at).Seconds())
}

func ownTime() time.Duration {
	return cpuTime(syscall.RUSAGE_SELF) + cpuTime(syscall.RUSAGE_CHILDREN)
}

// busyTime returns the user and system time of the machine without interrupts. Much of the
// interrupt time is loopback traffic, which no process is charged for. It returns 0 when
// /proc/stat cannot be read.
func busyTime() time.Duration {
	const tick = 10 * time.Millisecond
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	fields := strings.Fields(line) // cpu user nice system idle ...
	var sum time.Duration
	for i := 1; i <= 3 && i < len(fields); i++ {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0
		}
		sum += time.Duration(n) * tick
	}

	return sum
}
