package types_test

import (
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// An address from the network is parsed without any look-up.
func ExampleParseNetAddress() {
	na, err := types.ParseNetAddress("g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m@203.0.113.7:26656")
	if err != nil {
		fmt.Println(err)

		return
	}

	fmt.Println(na.ID)
	fmt.Println(na.DialString())

	_, err = types.ParseNetAddress("g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m@node.example:26656")
	fmt.Println(err)
	// Output:
	// g12er44f65vdr5cq59mawm7272ku76v5f4af7s0m
	// 203.0.113.7:26656
	// host is a name, not an IP address: "node.example"
}

// A refusal names the values of both sides.
func ExampleNodeInfo_CompatibleWith() {
	ours := types.NodeInfo{Network: "test7", Channels: []byte{0x20}}
	theirs := types.NodeInfo{Network: "test8", Channels: []byte{0x20}}

	fmt.Println(ours.CompatibleWith(theirs))
	// Output: incompatible networks: ours "test7", theirs "test8"
}
