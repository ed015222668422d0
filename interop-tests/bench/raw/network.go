package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/bench/harness"
)

// hub writes to one stream per leaf. As in the projects, each peer has a queue and a
// goroutine that sends from it. The goroutine flushes its buffer when the queue is empty.
type hub struct {
	host host.Host

	mtx    sync.Mutex
	queues []chan []byte
}

func (newHost hostMaker) network() *harness.Network {
	return &harness.Network{NewHub: newHost.newHub, NewLeaf: newHost.newLeaf}
}

func (newHost hostMaker) newHub() (*harness.Hub, error) {
	h, err := newHost()
	if err != nil {
		return nil, err
	}
	addr, err := json.Marshal(infoOf(h))
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	hub := &hub{host: h}
	h.SetStreamHandler(protocolID, hub.serve)

	return &harness.Hub{
		Addr:      string(addr),
		Peers:     func() int { return len(hub.peers()) },
		Broadcast: hub.broadcast,
		Close:     hub.close,
	}, nil
}

func (h *hub) peers() []chan []byte {
	h.mtx.Lock()
	defer h.mtx.Unlock()

	return h.queues
}

func (h *hub) broadcast(msg []byte) {
	for _, queue := range h.peers() {
		queue <- msg
	}
}

func (h *hub) close() error {
	for _, queue := range h.peers() {
		close(queue)
	}

	return h.host.Close()
}

// serve sends an empty message and then all broadcasts to one leaf.
func (h *hub) serve(s network.Stream) {
	var head [headSize]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		return
	}
	queue := make(chan []byte, harness.QueueBroadcast)
	h.mtx.Lock()
	h.queues = append(h.queues, queue)
	h.mtx.Unlock()

	w := newSender(s, harness.ReadBuffer)
	for msg := range queue {
		err := w.send(harness.ChHigh, msg)
		if err == nil && len(queue) == 0 {
			err = w.buffer.Flush()
		}
		if err != nil {
			return
		}
	}
}

func (newHost hostMaker) newLeaf(addr string, on harness.Handler) error {
	var hub peer.AddrInfo
	if err := json.Unmarshal([]byte(addr), &hub); err != nil {
		return err
	}
	h, err := newHost()
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := h.Connect(ctx, hub); err != nil {
		return err
	}
	s, err := h.NewStream(ctx, hub.ID, protocolID)
	if err != nil {
		return err
	}
	if err := newSender(s, 0).send(0, nil); err != nil {
		return fmt.Errorf("stream did not open: %w", err)
	}
	go receiveAll(s, on)

	return nil
}
