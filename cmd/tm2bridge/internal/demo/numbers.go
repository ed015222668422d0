package demo

// maxMissing is the most missing numbers that a numberCheck remembers. A number beyond them
// that arrives late counts as a duplicate instead of as reordered.
const maxMissing = 4096

// verdict is the change to the counts when a number arrives.
type verdict struct {
	lost       int // negative when a number arrives that was counted as lost
	duplicated int
	reordered  int
}

// numberCheck checks the numbers that arrive against 1, 2, 3, ...: those of the frames on
// one link, or those of the messages of one origin on one channel. It is not safe for
// concurrent use.
type numberCheck struct {
	last    uint64 // the highest number so far
	missing map[uint64]struct{}
}

// newNumberChecks returns a numberCheck for each channel.
func newNumberChecks() map[byte]*numberCheck {
	checks := make(map[byte]*numberCheck, len(channels))
	for _, d := range channels {
		checks[d.ID] = &numberCheck{}
	}

	return checks
}

// add takes the next number that arrived.
func (c *numberCheck) add(n uint64) verdict {
	if n > c.last {
		gap := n - c.last - 1
		if c.missing == nil && gap > 0 {
			c.missing = make(map[uint64]struct{})
		}
		for i := c.last + 1; i < n && len(c.missing) < maxMissing; i++ {
			c.missing[i] = struct{}{}
		}
		c.last = n

		return verdict{lost: int(gap)}
	}
	if _, late := c.missing[n]; late {
		delete(c.missing, n)
		return verdict{lost: -1, reordered: 1}
	}

	return verdict{duplicated: 1}
}
