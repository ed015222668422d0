package demo

// maxMissing is the most missing numbers that a link remembers. A number beyond them that
// arrives late counts as a duplicate instead of as reordered.
const maxMissing = 4096

// verdict is the change to the counts of a link when a frame arrives.
type verdict struct {
	lost       int // negative when a number arrives that was counted as lost
	duplicated int
	reordered  int
}

// linkCheck checks the numbers that arrive on one link against 1, 2, 3, ... It is not safe
// for concurrent use.
type linkCheck struct {
	last     uint64 // the highest number so far
	missing  map[uint64]struct{}
	finished bool // the closing frame has arrived
}

// add takes the next number that arrived.
func (c *linkCheck) add(n uint64) verdict {
	if n > c.last {
		gap := n - c.last - 1
		for i := c.last + 1; i < n && len(c.missing) < maxMissing; i++ {
			if c.missing == nil {
				c.missing = make(map[uint64]struct{})
			}
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

// seqSet is the set of sequence numbers that a node has received of one origin and
// channel. The origin's window bounds its size. It is not safe for concurrent use.
type seqSet struct {
	upTo  uint64 // all of 1..upTo are in the set
	above map[uint64]struct{}
}

// add adds a number and reports whether it was new.
func (s *seqSet) add(n uint64) bool {
	if n <= s.upTo {
		return false
	}
	if _, there := s.above[n]; there {
		return false
	}
	if n > s.upTo+1 {
		if s.above == nil {
			s.above = make(map[uint64]struct{})
		}
		s.above[n] = struct{}{}

		return true
	}
	for s.upTo++; ; s.upTo++ {
		if _, there := s.above[s.upTo+1]; !there {
			return true
		}
		delete(s.above, s.upTo+1)
	}
}
