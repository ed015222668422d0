package wire_test

import (
	"bytes"
	"fmt"

	"github.com/tm2-libp2p/tm2-libp2p/internal/wire"
)

// Write a packet with its size prefix, read it with a limit, and decode its body.
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
