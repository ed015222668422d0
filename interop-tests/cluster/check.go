package cluster

import (
	"bytes"
	"fmt"
)

// Reached returns a check that all members have a block at the height.
func Reached(height int64, members ...*Member) func() error {
	return func() error {
		for _, m := range members {
			if h := m.Height(); h < height {
				return fmt.Errorf("%s is at height %d, not %d, with %d peers", m.Name, h, height, len(m.Peers()))
			}
		}

		return nil
	}
}

// Stored returns a check that the apps of all members have the value for the key.
func Stored(key, value string, members ...*Member) func() error {
	return func() error {
		for _, m := range members {
			v, err := m.Value(key)
			if err != nil {
				return err
			}
			if v != value {
				return fmt.Errorf("%s has %q for %s, not %q", m.Name, v, key, value)
			}
		}

		return nil
	}
}

// InConsensus returns a check that the member has caught up and takes part in consensus.
func InConsensus(m *Member) func() error {
	return func() error {
		if m.Syncing() {
			return fmt.Errorf("%s still syncs, at height %d", m.Name, m.Height())
		}

		return nil
	}
}

// Top returns the greatest height of the members.
func Top(members ...*Member) int64 {
	var top int64
	for _, m := range members {
		top = max(top, m.Height())
	}

	return top
}

// ForkError reports that two nodes have different blocks at a height.
type ForkError struct {
	Height     int64
	Name, With string
}

// Error implements error.
func (e *ForkError) Error() string {
	return fmt.Sprintf("fork: %s and %s have different blocks at height %d", e.Name, e.With, e.Height)
}

// Agreement is the result of CheckAgreement.
type Agreement struct {
	Height int64 // the last height that every member has
	Late   int   // how many blocks needed more than one round
}

// CheckAgreement compares the blocks of all members at each height. It returns a *ForkError
// for the first difference.
func CheckAgreement(members ...*Member) (Agreement, error) {
	longest := members[0]
	agreed := Agreement{Height: longest.Height()}
	for _, m := range members {
		agreed.Height = min(agreed.Height, m.Height())
		if m.Height() > longest.Height() {
			longest = m
		}
	}
	for h := int64(1); h <= longest.Height(); h++ {
		want := longest.Blocks().LoadBlockMeta(h).BlockID
		for _, m := range members {
			if m.Height() >= h && !bytes.Equal(m.Blocks().LoadBlockMeta(h).BlockID.Hash, want.Hash) {
				return agreed, &ForkError{Height: h, Name: m.Name, With: longest.Name}
			}
		}
		if longest.Blocks().LoadSeenCommit(h).Round() > 0 {
			agreed.Late++
		}
	}

	return agreed, nil
}
