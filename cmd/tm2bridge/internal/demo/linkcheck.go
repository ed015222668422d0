package demo

// maxMissing bounds the missing numbers that a link remembers; a later one that
// turns up counts as a duplicate instead of as reordered.
const maxMissing = 4096

// verdict is what one arrival changes in the account of its link.
type verdict struct {
	lost       int // negative when a number that was taken for lost turns up
	duplicated int
	reordered  int
}

// linkCheck accounts for the numbers that arrive on one link. The numbers of a
// perfect link are 1, 2, 3, ... It is not safe for concurrent use.
type linkCheck struct {
	last     uint64 // the highest number so far
	missing  map[uint64]struct{}
	finished bool // the closing frame has arrived
}

// see accounts for the arrival of a number.
func (c *linkCheck) see(n uint64) verdict {
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

// seqSet is the set of the sequence numbers that a node has seen of one origin
// and channel. It stays small because an origin's window is. It is not safe for
// concurrent use.
type seqSet struct {
	upTo  uint64 // all of 1..upTo are in the set
	above map[uint64]struct{}
}

// add puts a number into the set and reports whether it was new.
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
