package lp2p

// pieceShare is the part of a message that may be held in excess: the size of a new piece
// is at most what has arrived, divided by it.
const pieceShare = 4

// pieces is a message on its way, in buffers that are allocated as its bytes arrive. They
// take at most a quarter more than these bytes, and 16 KiB at least. It is not safe for
// concurrent use.
type pieces struct {
	pool *bufferPool
	all  [][]byte // full but for the last one
	got  int      // bytes in them
	free int      // bytes of the last one that are not filled
}

// space returns where the next bytes of a message of this size go.
func (p *pieces) space(size int) []byte {
	if p.free == 0 {
		next := p.pool.get(piece(p.got, size))
		p.all = append(p.all, next)
		p.free = len(next)
	}
	last := p.all[len(p.all)-1]
	space := last[len(last)-p.free:]

	return space[:min(len(space), size-p.got)]
}

// piece returns the size of the next piece: a power of two, so that pieces are reused, or
// what is missing.
func piece(got, size int) int {
	n := minBuffer
	for 2*n <= got/pieceShare {
		n *= 2
	}

	return min(n, size-got)
}

// filled notes that n bytes of the space have arrived.
func (p *pieces) filled(n int) {
	p.got += n
	p.free -= n
}

// join makes one piece of all, and returns the message. It gives back each piece once it is
// copied.
func (p *pieces) join() []byte {
	if len(p.all) > 1 {
		whole := p.pool.get(p.got)
		rest := whole[:p.got]
		for i, b := range p.all {
			rest = rest[copy(rest, b):]
			p.all[i] = nil
			p.pool.put(b)
		}
		p.all = append(p.all[:0], whole)
	}

	return p.all[0][:p.got]
}

// release gives back everything, and makes it ready for the next message.
func (p *pieces) release() {
	for i, b := range p.all {
		p.all[i] = nil
		p.pool.put(b)
	}
	p.all, p.got, p.free = p.all[:0], 0, 0
}
