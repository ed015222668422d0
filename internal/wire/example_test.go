package wire_test

import (
	"bytes"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// A packet is written with its size in front, read with a limit, and decoded
// from its body.
func Example() {
	stream := bytes.NewReader(wire.AppendMsg(nil, 0x20, true, []byte("hello")))

	body, err := wire.ReadSized(stream, wire.MaxPacketSize(1024))
	if err != nil {
		fmt.Println(err)

		return
	}

	packet, err := wire.DecodePacket(body)
	if err != nil {
		fmt.Println(err)

		return
	}

	fmt.Printf("%s channel %#x eof %t %q\n", packet.Kind, packet.Channel, packet.EOF, packet.Payload)
	// Output: msg channel 0x20 eof true "hello"
}
