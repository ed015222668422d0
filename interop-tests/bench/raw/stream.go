package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

// headSize is the size of a message's head in bytes: a length of four bytes and a channel.
const headSize = 5

// sender writes messages to a stream.
type sender struct {
	mtx    sync.Mutex
	stream network.Stream
	buffer *bufio.Writer // nil: one write per message
	msg    []byte        // head and message, without a buffer
}

// newSender returns a sender with a buffer of bufferSize bytes, or with none for 0.
func newSender(s network.Stream, bufferSize int) *sender {
	w := &sender{stream: s}
	if bufferSize > 0 {
		w.buffer = bufio.NewWriterSize(s, bufferSize)
	}

	return w
}

func (w *sender) send(ch byte, msg []byte) error {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	var head [headSize]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(msg)))
	head[headSize-1] = ch

	if w.buffer == nil {
		w.msg = append(append(w.msg[:0], head[:]...), msg...)
		_, err := w.stream.Write(w.msg)

		return err
	}
	if _, err := w.buffer.Write(head[:]); err != nil {
		return err
	}
	_, err := w.buffer.Write(msg)

	return err
}

// receiveAll reads messages until the stream ends. Closing its host ends the stream.
func receiveAll(s network.Stream, on harness.Handler) {
	in := bufio.NewReaderSize(s, harness.ReadBuffer)
	var head [headSize]byte
	var msg []byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(head[:]))
		if n > cap(msg) {
			msg = make([]byte, n)
		}
		if _, err := io.ReadFull(in, msg[:n]); err != nil {
			return
		}
		on(head[headSize-1], msg[:n])
	}
}

// openStreams opens a pair of hosts with a stream per channel. A buffer is flushed only when
// it is full.
func (newHost hostMaker) openStreams(bufferSize int, channels ...byte) harness.Opener {
	return func(onB, onA harness.Handler) (*harness.Pipe, error) {
		a, b, err := newHost.pair()
		if err != nil {
			return nil, err
		}
		pair := &streamPair{opened: make(chan *sender, 1), senders: make(map[byte]*sender)}
		b.SetStreamHandler(protocolID, pair.handler(onB))
		ctx := context.Background()
		if err := a.Connect(ctx, infoOf(b)); err != nil {
			return nil, errors.Join(err, a.Close(), b.Close())
		}
		var back *sender
		for _, ch := range channels {
			s, err := a.NewStream(ctx, b.ID(), protocolID)
			if err != nil {
				return nil, errors.Join(err, a.Close(), b.Close())
			}
			// The remote sees the stream only after a first message.
			if err := newSender(s, 0).send(ch, nil); err != nil {
				return nil, errors.Join(fmt.Errorf("stream did not open: %w", err), a.Close(), b.Close())
			}
			back = <-pair.opened
			pair.senders[ch] = newSender(s, bufferSize)
			go receiveAll(s, onA)
		}

		return &harness.Pipe{
			Send:  func(ch byte, msg []byte) bool { return pair.senders[ch].send(ch, msg) == nil },
			Reply: func(ch byte, msg []byte) bool { return back.send(ch, msg) == nil },
			Close: func() error { return errors.Join(a.Close(), b.Close()) },
		}, nil
	}
}

// streamPair holds the streams between two hosts.
type streamPair struct {
	opened  chan *sender // of B, for each stream
	senders map[byte]*sender
}

func (p *streamPair) handler(on harness.Handler) network.StreamHandler {
	return func(s network.Stream) {
		receiveAll(s, func(ch byte, msg []byte) {
			if len(msg) == 0 {
				p.opened <- newSender(s, 0)

				return
			}
			on(ch, msg)
		})
	}
}
