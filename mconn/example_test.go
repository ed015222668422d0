package mconn_test

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/mconn"
)

func Example() {
	channels := []*compat.ChannelDescriptor{
		{ID: 0x22, Priority: 5, SendQueueCapacity: 100}, // votes
		{ID: 0x40, Priority: 10, SendQueueCapacity: 1000},
	}

	one, two := net.Pipe()
	closed := make(chan bool)

	receiver, err := mconn.NewMConnection(two, channels,
		func(chID byte, msg []byte) { fmt.Printf("%#x: %s\n", chID, msg) },
		func(err error) { closed <- errors.Is(err, io.EOF) },
	)
	if err != nil {
		fmt.Println(err)
		return
	}

	sender, err := mconn.NewMConnection(one, channels, func(byte, []byte) {}, func(error) {})
	if err != nil {
		fmt.Println(err)
		return
	}

	if err := errors.Join(receiver.Start(), sender.Start()); err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println("sent:", sender.Send(0x22, []byte("vote")))
	sender.FlushStop()
	fmt.Println("the peer has closed:", <-closed)

	<-sender.Done()
	<-receiver.Done()

	// Unordered output:
	// sent: true
	// 0x22: vote
	// the peer has closed: true
}
