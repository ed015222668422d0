package demo

import (
	"context"
	"math/rand/v2"
)

// poolSize is the size in bytes of the random data from which an origin cuts messages. It
// is above the size of the largest message.
const poolSize = 64 << 10

// source originates messages as fast as the window allows.
func source(ctx context.Context, g *gossip, rng *rand.Rand) {
	pool := make([]byte, poolSize)
	for i := range pool {
		pool[i] = byte(rng.Uint32())
	}
	for {
		channel := channels[rng.IntN(len(channels))].ID
		size := messageSize(rng)
		offset := rng.IntN(poolSize - size)
		key, err := g.windows[g.index].begin(ctx, channel)
		if err != nil {
			return
		}
		g.originate(key, pool[offset:offset+size])
	}
}

// messageSize returns a size in bytes with the distribution of real traffic: mostly votes,
// some transactions, a few block parts. A message above 1024 bytes needs several packets
// on the native side.
func messageSize(rng *rand.Rand) int {
	switch p := rng.IntN(100); {
	case p < 70:
		return 32 + rng.IntN(480)
	case p < 95:
		return 512 + rng.IntN(3584)
	default:
		return 8<<10 + rng.IntN(40<<10)
	}
}
