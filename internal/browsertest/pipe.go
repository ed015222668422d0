package browsertest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// pipe carries messages of the protocol: JSON, each ended by a zero byte.
type pipe struct {
	to io.WriteCloser

	mtx     sync.Mutex
	last    int
	waiting map[int]chan message
	ended   error

	event func(message)
	done  chan struct{} // closed when nothing more is read
}

// message is a call, its answer, or an event.
type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// newPipe passes events to a function, which must not call.
func newPipe(from io.Reader, to io.WriteCloser, event func(message)) *pipe {
	p := &pipe{to: to, waiting: make(map[int]chan message), event: event, done: make(chan struct{})}
	go p.read(bufio.NewReader(from))

	return p
}

func (p *pipe) read(from *bufio.Reader) {
	defer close(p.done)
	for {
		data, err := from.ReadBytes(0)
		var m message
		if err == nil {
			m.Params = &json.RawMessage{}
			err = json.Unmarshal(data[:len(data)-1], &m)
		}
		if err != nil {
			p.end(err)

			return
		}
		if m.ID == 0 {
			p.event(m)

			continue
		}
		p.mtx.Lock()
		answer := p.waiting[m.ID]
		delete(p.waiting, m.ID)
		p.mtx.Unlock()
		if answer != nil {
			answer <- m
		}
	}
}

// end fails the calls that wait, and all further ones.
func (p *pipe) end(err error) {
	p.mtx.Lock()
	defer p.mtx.Unlock()
	p.ended = err
	for id, answer := range p.waiting {
		delete(p.waiting, id)
		close(answer)
	}
}

// call waits for the answer and stores its result, unless that is nil.
func (p *pipe) call(session, method string, params, result any) error {
	answer := make(chan message, 1)
	p.mtx.Lock()
	if p.ended != nil {
		p.mtx.Unlock()

		return fmt.Errorf("%s: the browser is gone: %w", method, p.ended)
	}
	p.last++
	id := p.last
	p.waiting[id] = answer
	data, err := json.Marshal(message{ID: id, SessionID: session, Method: method, Params: params})
	if err == nil {
		_, err = p.to.Write(append(data, 0))
	}
	p.mtx.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	timeout := time.NewTimer(Timeout)
	defer timeout.Stop()
	var (
		m  message
		ok bool
	)
	select {
	case m, ok = <-answer:
	case <-timeout.C:
		p.mtx.Lock()
		defer p.mtx.Unlock()
		delete(p.waiting, id)

		return fmt.Errorf("%s: the browser does not answer", method)
	}
	switch {
	case !ok:
		return fmt.Errorf("%s: the browser is gone", method)
	case m.Error != nil:
		return fmt.Errorf("%s: %s", method, m.Error.Message)
	case result == nil:
		return nil
	default:
		return json.Unmarshal(m.Result, result)
	}
}
