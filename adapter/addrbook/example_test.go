package addrbook_test

import (
	"fmt"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// A node hears of a peer, does not find it there, and finds it elsewhere.
func Example() {
	book, err := addrbook.Open("", types.NetAddress{})
	if err != nil {
		fmt.Println(err)

		return
	}
	const peer, teller = "g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m", "g1zw0rjs8xfd2fzu3q3rv6p46pv28usfhqc8742q"
	told := &types.NetAddress{ID: peer, IP: net.IPv4(5, 6, 7, 8), Port: 26656}
	found := &types.NetAddress{ID: peer, IP: net.IPv4(5, 6, 7, 9), Port: 26656}

	book.Add(addrbook.Source{ID: teller, IP: net.IPv4(9, 9, 9, 9)}, told)
	book.MarkFailed(told)
	book.MarkAnswered(found, types.StackNative)
	for _, e := range book.Of(peer) {
		fmt.Println(e.Addr.DialString(), "answered:", e.HasAnswered(), "failures:", e.Failures)
	}
	fmt.Println("last on the stack:", book.LastStack(peer))
	// Output:
	// 5.6.7.9:26656 answered: true failures: 0
	// 5.6.7.8:26656 answered: false failures: 1
	// last on the stack: native
}
