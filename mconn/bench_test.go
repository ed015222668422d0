package mconn

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
)

// benchPair returns a sender and a channel that gets a value for every message
// that arrives.
func benchPair(b *testing.B, inFlight int) (*MConnection, <-chan struct{}) {
	b.Helper()

	config := unlimited()
	descs := []*compat.ChannelDescriptor{{ID: 0x20, Priority: 1, SendQueueCapacity: 100}}
	arrived := make(chan struct{}, inFlight)
	dialer, listener := tcpPair(b)

	receiver, err := NewMConnectionWithConfig(listener, descs,
		func(byte, []byte) { arrived <- struct{}{} }, func(error) {}, config)
	require.NoError(b, err)
	require.NoError(b, receiver.Start())

	sender, err := NewMConnectionWithConfig(dialer, descs, func(byte, []byte) {}, func(error) {}, config)
	require.NoError(b, err)
	require.NoError(b, sender.Start())

	b.Cleanup(func() {
		sender.FlushStop()
		<-sender.Done()
		<-receiver.Done()
	})

	return sender, arrived
}

var benchSizes = []int{64, 1 << 10, 64 << 10, 1 << 20}

// BenchmarkThroughput sends without waiting, over loopback TCP and without rate
// limits.
func BenchmarkThroughput(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			sender, arrived := benchPair(b, 1024)
			msg := make([]byte, size)

			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()

			done := make(chan struct{})
			go func() {
				defer close(done)
				for range b.N {
					<-arrived
				}
			}()

			for range b.N {
				if !sender.Send(0x20, msg) {
					b.Fatal("not sent")
				}
			}
			<-done
		})
	}
}

// BenchmarkLatency sends one message at a time.
func BenchmarkLatency(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			sender, arrived := benchPair(b, 1)
			msg := make([]byte, size)

			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()

			for range b.N {
				sender.Send(0x20, msg)
				<-arrived
			}
		})
	}
}
