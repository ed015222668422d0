package program

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

// sendBacklog is how many send commands may wait on one channel. The process does not read
// stdin while one more waits.
const sendBacklog = 256

// serve executes commands until the input ends, a stop command arrives, or the context ends.
// It drops the commands that still wait then.
func serve(ctx context.Context, in io.Reader, n Node, out *Reporter) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{ctx: ctx, node: n, out: out, queues: make(map[byte]chan protocol.Command)}
	defer s.wg.Wait()
	defer cancel()

	// Reading stdin cannot be cancelled. The goroutine ends with the process.
	read := make(chan error, 1)
	go func() { read <- s.readCommands(in) }()
	select {
	case err := <-read:
		return err
	case <-ctx.Done():
		return nil
	}
}

type server struct {
	ctx    context.Context
	node   Node
	out    *Reporter
	wg     sync.WaitGroup
	queues map[byte]chan protocol.Command // by channel, with one sender each
}

func (s *server) readCommands(in io.Reader) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var cmd protocol.Command
		if err := json.Unmarshal(lines.Bytes(), &cmd); err != nil {
			return fmt.Errorf("command %q: %w", lines.Text(), err)
		}
		if cmd.Cmd == protocol.CmdStop {
			return nil
		}
		if err := s.do(cmd); err != nil {
			s.out.Report(protocol.Event{Event: protocol.EventError, Reason: fmt.Sprintf("%s: %v", cmd.Cmd, err)})
		}
	}

	return lines.Err()
}

func (s *server) do(cmd protocol.Command) error {
	switch cmd.Cmd {
	case protocol.CmdSend:
		return s.queueSend(cmd)
	case protocol.CmdDial:
		return s.node.Dial(cmd.Addr)
	default:
		return errors.New("unknown command")
	}
}

// queueSend passes the command to the sender of its channel, which keeps the order.
func (s *server) queueSend(cmd protocol.Command) error {
	queue, ok := s.queues[cmd.Channel]
	if !ok {
		queue = make(chan protocol.Command, sendBacklog)
		s.queues[cmd.Channel] = queue
		s.wg.Go(func() { s.sendLoop(queue) })
	}
	select {
	case queue <- cmd:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *server) sendLoop(queue <-chan protocol.Command) {
	for {
		select {
		case cmd := <-queue:
			s.send(cmd)
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *server) send(cmd protocol.Command) {
	peers := s.recipients(cmd.Peer)
	if len(peers) == 0 {
		s.out.Report(protocol.Event{Event: protocol.EventError, Reason: "send: no peer " + cmd.Peer})
	}
	for _, p := range peers {
		s.sendTo(p, cmd)
	}
}

func (s *server) recipients(id string) []Peer {
	if id == protocol.AllPeers {
		return s.node.Peers()
	}
	if p := s.node.Peer(id); p != nil {
		return []Peer{p}
	}

	return nil
}

func (s *server) sendTo(p Peer, cmd protocol.Command) {
	accepted := 0
	for i := range cmd.Count {
		if s.ctx.Err() != nil || !p.Send(cmd.Channel, protocol.Payload(cmd.Seed, i, cmd.Size)) {
			break
		}
		accepted++
	}
	e := protocol.Event{Event: protocol.EventSent, Peer: p.ID(), Channel: cmd.Channel, Count: accepted}
	if accepted < cmd.Count {
		e.Event, e.Reason = protocol.EventError, fmt.Sprintf("send: %d of %d messages accepted", accepted, cmd.Count)
	}
	s.out.Report(e)
}
