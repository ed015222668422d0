package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// warmUp is how many blocks are made before a rate is measured.
const warmUp = 3

// Rate runs the topology and returns the rate at which all of its nodes have made blocks, per
// second. Validators keep their signing state in memory, so that the disk does not matter.
func Rate(ctx context.Context, topology Topology, during time.Duration) (rate float64, err error) {
	n := NewNetwork(Config{})
	b, err := topology.Build(n)
	if err != nil {
		return 0, err
	}
	if b != nil {
		if err := b.Start(); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, b.Stop()) }()
	}
	defer func() { err = errors.Join(err, n.Stop()) }()
	if err := n.Start(); err != nil {
		return 0, err
	}
	if err := n.Await(ctx, Reached(warmUp, n.Members()...)); err != nil {
		return 0, fmt.Errorf("first blocks: %w", err)
	}

	from, begun := Top(n.Members()...), time.Now()
	running, cancel := context.WithTimeout(ctx, during)
	defer cancel()
	<-running.Done()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	made, took := Top(n.Members()...)-from, time.Since(begun)
	if err := n.Await(ctx, Reached(from+made, n.Members()...)); err != nil {
		return 0, fmt.Errorf("last blocks: %w", err)
	}
	if _, err := CheckAgreement(n.Members()...); err != nil {
		return 0, err
	}

	return float64(made) / took.Seconds(), nil
}
