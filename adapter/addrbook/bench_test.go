package addrbook_test

import (
	"fmt"
	"testing"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A full book takes an answer with 30 new addresses.
func BenchmarkAddToAFullBook(b *testing.B) {
	book, err := addrbook.Open("", types.NetAddress{})
	if err != nil {
		b.Fatal(err)
	}
	var told [][]*types.NetAddress
	for i := range 100 {
		told = append(told, addrsAt(fmt.Sprintf("20.%d", i), 30))
	}
	i := 0
	for b.Loop() {
		book.Add(sourceAt(fmt.Sprintf("9.%d.1.1", i%100)), told[i%100]...)
		i++
	}
}
