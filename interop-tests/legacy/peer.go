package legacy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/internal/peerlog"
	"github.com/tm2-libp2p/tm2-libp2p/interop-tests/peers/common/protocol"
)

const (
	// stopGrace is how long a process may take to stop before it is killed.
	stopGrace = time.Minute
	// maxStderr is how many bytes of a process's log a failing test shows.
	maxStderr = 32 << 10
	// maxLine is the longest event of a process, in bytes.
	maxLine = 1 << 20
)

// errEnded ends the log of a process that has ended.
var errEnded = errors.New("the process has ended")

// Peer is a running legacy peer with the log of its events.
type Peer struct {
	*peerlog.Log

	t      testing.TB
	cmd    *exec.Cmd
	stderr *tail
	exited chan struct{} // closed when the process has ended and its output is read
	err    error         // of the process, valid after exited
	addr   string
	info   protocol.NodeInfo

	mtx     sync.Mutex
	stdin   io.WriteCloser
	stopped bool // the test has ended it
}

// Start runs a legacy peer and returns when it listens. The process is stopped at the end of
// the test. The test fails if the process ends earlier by itself, or with an error. A failing
// test shows the end of the process's log.
func Start(t testing.TB, o Options) *Peer {
	t.Helper()
	program, name := o.Program, filepath.Base(o.Program)+" "+o.Moniker
	if program == "" {
		require.NotEmpty(t, binaries, "Build was not called")
		if o.Version == "" {
			o.Version = V1_7_1
		}
		require.Contains(t, binaries, o.Version)
		program, name = binaries[o.Version], "gno "+o.Version+" "+o.Moniker
	}

	p := &Peer{
		Log:    peerlog.New(name),
		t:      t,
		cmd:    exec.Command(program, o.args()...),
		stderr: &tail{},
		exited: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), o.Env...)
	p.cmd.Stderr = p.stderr
	stdin, err := p.cmd.StdinPipe()
	require.NoError(t, err)
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go p.watch(stdout)
	t.Cleanup(p.cleanup)

	listening := p.Await(t, "listening", 1, func(e protocol.Event) bool { return e.Event == protocol.EventListening })[0]
	p.addr, p.info = listening.Addr, *listening.NodeInfo

	return p
}

// watch reads events until the process closes its stdout, then waits for it.
func (p *Peer) watch(stdout io.Reader) {
	defer close(p.exited)
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e protocol.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			p.err = fmt.Errorf("event %q: %w", lines.Text(), err)

			break
		}
		p.Append(e)
	}
	p.err = errors.Join(p.err, lines.Err(), drain(stdout), p.cmd.Wait())
	p.End(errors.Join(errEnded, p.err))
}

// drain reads the rest of an invalid output, so that the process does not block.
func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)

	return err
}

// Addr returns the address at which the peer listens, ID@IP:port.
func (p *Peer) Addr() string { return p.addr }

// ID returns the peer's TM2 ID.
func (p *Peer) ID() string {
	id, _, _ := strings.Cut(p.addr, "@")

	return id
}

// HostPort returns the address at which the peer listens, without its ID.
func (p *Peer) HostPort() string {
	_, hostPort, _ := strings.Cut(p.addr, "@")

	return hostPort
}

// NodeInfo returns the peer's NodeInfo.
func (p *Peer) NodeInfo() protocol.NodeInfo { return p.info }

// Dial makes the peer dial an address, ID@IP:port, once.
func (p *Peer) Dial(addr string) { p.command(protocol.Command{Cmd: protocol.CmdDial, Addr: addr}) }

// Send makes the peer send count messages of size bytes, with indices from 0, to the peer
// with the ID or to protocol.AllPeers. It returns at once. See protocol.Payload.
func (p *Peer) Send(to string, channel byte, size, count int, seed uint64) {
	p.command(protocol.Command{
		Cmd: protocol.CmdSend, Peer: to, Channel: channel, Size: size, Count: count, Seed: seed,
	})
}

func (p *Peer) command(c protocol.Command) {
	p.t.Helper()
	line, err := json.Marshal(c)
	require.NoError(p.t, err)
	p.mtx.Lock()
	defer p.mtx.Unlock()
	_, err = p.stdin.Write(append(line, '\n'))
	require.NoError(p.t, err, "command %s", line)
}

// Stop makes the process stop and waits for it.
func (p *Peer) Stop() {
	p.t.Helper()
	p.end(func() error { return p.stdin.Close() })
	require.NoError(p.t, p.err)
}

// Kill kills the process, like a crash, and waits for it.
func (p *Peer) Kill() {
	p.t.Helper()
	p.end(p.cmd.Process.Kill)
}

// AwaitExit waits until the process ends by itself, as the test expects it to, with or without an
// error.
func (p *Peer) AwaitExit() {
	p.t.Helper()
	p.end(func() error { return nil })
}

// end ends the process by calling how, unless it has ended, and waits for it.
func (p *Peer) end(how func() error) {
	p.t.Helper()
	p.mtx.Lock()
	first := !p.stopped
	p.stopped = true
	p.mtx.Unlock()
	if first {
		require.NoError(p.t, how())
	}

	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-p.exited:
	case <-grace.C:
		p.t.Errorf("%s did not end within %s: killed", p.Name(), stopGrace)
		if err := p.cmd.Process.Kill(); err != nil {
			p.t.Errorf("unable to kill %s: %v", p.Name(), err)
		}
		<-p.exited
	}
}

// cleanup stops the process if the test has not.
func (p *Peer) cleanup() {
	p.mtx.Lock()
	running := !p.stopped
	p.stopped = true
	p.mtx.Unlock()
	if running {
		select {
		case <-p.exited:
			p.t.Errorf("%s has ended by itself: %v", p.Name(), p.err)
		default:
			if err := p.stdin.Close(); err != nil {
				p.t.Errorf("unable to close the stdin of %s: %v", p.Name(), err)
			}
		}
	}
	p.end(nil)
	if running && p.err != nil {
		p.t.Errorf("%s: %v", p.Name(), p.err)
	}
	if p.t.Failed() {
		p.t.Logf("log of %s %s:\n%s", p.Name(), p.addr, p.stderr)
	}
}

// tail is a writer that keeps the last bytes.
type tail struct {
	mtx sync.Mutex
	buf bytes.Buffer
}

func (w *tail) Write(b []byte) (int, error) {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	w.buf.Write(b)
	if w.buf.Len() > 2*maxStderr {
		w.buf.Next(w.buf.Len() - maxStderr)
	}

	return len(b), nil
}

func (w *tail) String() string {
	w.mtx.Lock()
	defer w.mtx.Unlock()
	b := w.buf.Bytes()

	return string(b[max(0, len(b)-maxStderr):])
}
