package harness

import (
	"errors"
	"io"
	"net"
	"sync"
)

// tcpHub is a listener with a reader per connection.
type tcpHub struct {
	ln net.Listener
	wg sync.WaitGroup

	mtx   sync.Mutex
	conns []net.Conn
}

func newTCPHub() (*Hub, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &tcpHub{ln: ln}
	h.wg.Go(h.accept)

	return &Hub{
		Addr:      ln.Addr().String(),
		Peers:     func() int { return len(h.peers()) },
		Broadcast: h.broadcast,
		Close:     h.close,
	}, nil
}

func (h *tcpHub) accept() {
	for {
		c, err := h.ln.Accept()
		if err != nil {
			return
		}
		h.mtx.Lock()
		h.conns = append(h.conns, c)
		h.mtx.Unlock()
		h.wg.Go(func() { _, _ = io.CopyBuffer(io.Discard, struct{ io.Reader }{c}, make([]byte, 4<<10)) })
	}
}

func (h *tcpHub) peers() []net.Conn {
	h.mtx.Lock()
	defer h.mtx.Unlock()

	return h.conns
}

func (h *tcpHub) broadcast(msg []byte) {
	for _, c := range h.peers() {
		write(c, msg)
	}
}

// openTCPMessages is openTCP for messages of the broadcast size to B.
func openTCPMessages(onB, onA Handler) (*Pipe, error) {
	var msg []byte

	return openTCP(func(ch byte, part []byte) {
		for msg = append(msg, part...); len(msg) >= broadcastSize; msg = msg[broadcastSize:] {
			onB(ch, msg[:broadcastSize])
		}
	}, onA)
}

func (h *tcpHub) close() error {
	err := h.ln.Close()
	for _, c := range h.peers() {
		err = errors.Join(err, c.Close())
	}
	h.wg.Wait()

	return err
}

// newTCPLeaf connects a leaf, which splits the stream into messages of the broadcast size.
func newTCPLeaf(addr string, on Handler) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		msg := make([]byte, broadcastSize)
		for {
			if _, err := io.ReadFull(c, msg); err != nil {
				return
			}
			on(ChHigh, msg)
		}
	}()

	return nil
}

func openTCPConnector(int) (*Connector, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()

	return &Connector{
		Connect: func(int) error {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				return err
			}

			return c.Close()
		},
		Close: func() error {
			err := ln.Close()
			<-ended

			return err
		},
	}, nil
}
