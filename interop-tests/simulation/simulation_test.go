package simulation

import (
	"flag"
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	nodesFlag = flag.String("nodes", "16", "sizes of the networks to simulate, separated by commas")
	seedFlag  = flag.Uint64("seed", 1, "seed of what the simulation draws")
	churnFlag = flag.Float64("churn", 0.3, "which part of the nodes leaves")
	idleFlag  = flag.Duration("idle", 2*time.Minute, "for how long the formed network is watched, in virtual time")
)

func sizes(t *testing.T) (list []int) {
	for s := range strings.SplitSeq(*nodesFlag, ",") {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		list = append(list, n)
	}

	return list
}

// TestSimulation checks that nodes that know only a seed fill their outbound slots and form one
// graph, and that the staying nodes remain one graph when 30 % leave and others join.
func TestSimulation(t *testing.T) {
	var results []*Result
	for _, size := range sizes(t) {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			begun := time.Now()
			result := simulate(t, size)
			results = append(results, result)
			require.Equal(t, 1, result.Churn.MostParts, "those that stayed remained one graph")
			t.Logf("%d nodes, seed %d: %.0f s of real time, %d MiB of memory",
				size, *seedFlag, time.Since(begun).Seconds(), memory()>>20)
		})
	}
	if !t.Failed() && testing.Verbose() {
		require.NoError(t, Report(os.Stdout, results))
	}
}

func simulate(t *testing.T, size int) (result *Result) {
	synctest.Test(t, func(t *testing.T) {
		c := DefaultConfig(size)
		c.Seed, c.Idle, c.Churn, c.Progress = *seedFlag, *idleFlag, *churnFlag, t.Logf
		var err error
		result, err = Run(c)
		require.NoError(t, err)
	})

	return result
}

// memory returns how many bytes the process has obtained from the system.
func memory() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(sample)

	return sample[0].Value.Uint64()
}
