package chain

import (
	"fmt"
	"strings"
	"sync"

	"github.com/gnolang/gno/tm2/pkg/bft/mempool"
	"github.com/gnolang/gno/tm2/pkg/bft/types"
)

// txSize is the size of a transaction, in bytes.
const txSize = 10 << 10

// load keeps the transactions of one block in a mempool.
type load struct {
	mempool *mempool.CListMempool
	name    string
	bytes   int64
	inline  bool // wake returns when the mempool is full
	count   int  // transactions made

	woken chan struct{}
	quit  chan struct{}
	ended sync.WaitGroup
}

// newLoad returns a load that fills the mempool again after each wake.
func newLoad(m *mempool.CListMempool, name string, bytes int, inline bool) *load {
	l := &load{mempool: m, name: name, bytes: int64(bytes), inline: inline, woken: make(chan struct{}, 1), quit: make(chan struct{})}
	l.ended.Go(l.refill)

	return l
}

func (l *load) refill() {
	for {
		select {
		case <-l.woken:
		case <-l.quit:
			return
		}
		l.mustFill()
	}
}

// wake makes the load look at the mempool again.
func (l *load) wake() {
	if l.inline {
		l.mustFill()

		return
	}
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

// stop ends the load. It must be called once.
func (l *load) stop() {
	close(l.quit)
	l.ended.Wait()
}

// mustFill fills the mempool, which takes the transactions that are made for it.
func (l *load) mustFill() {
	if err := l.fill(); err != nil {
		panic(err)
	}
}

// fill adds transactions of the form key=value. It must not be called concurrently.
func (l *load) fill() error {
	for l.mempool.TxsBytes() < l.bytes {
		key := fmt.Sprintf("%s-%d=", l.name, l.count)
		l.count++
		tx := types.Tx(key + strings.Repeat("x", txSize-len(key)))
		if err := l.mempool.CheckTx(tx, nil); err != nil {
			return fmt.Errorf("transaction %s: %w", key, err)
		}
	}

	return nil
}
