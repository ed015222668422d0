package harness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// Hub is one node with many peers.
type Hub struct {
	Addr      string           // for NewLeaf
	Peers     func() int       // number of peers that are connected and ready
	Broadcast func(msg []byte) // sends to all peers on ChHigh; may block; nil if no case uses it
	Close     func() error
}

// Network makes a hub, and leaves that connect to it. The leaves run in another process, so
// that they do not add to the time and memory of the hub.
type Network struct {
	NewHub func() (*Hub, error)
	// NewLeaf connects one node to the hub at addr. The node runs until its process
	// ends.
	NewLeaf func(addr string, onReceive Handler) error
}

// leafSpec describes the leaves of a child process.
type leafSpec struct {
	Stack string
	Idle  bool
	Addr  string
	N     int
}

// leaves is a process of leaves.
type leaves struct {
	cmd       *exec.Cmd
	cancel    context.CancelFunc
	stdin     io.Closer // closing it ends the process
	delivered counters  // messages, by leaf
}

// start makes a hub with n leaves.
func (nw *Network) start(stack string, isIdle bool, n int) (*Hub, *leaves, error) {
	hub, err := nw.NewHub()
	if err != nil {
		return nil, nil, err
	}
	l, err := startLeaves(leafSpec{Stack: stack, Idle: isIdle, Addr: hub.Addr, N: n})
	if err != nil {
		return nil, nil, errors.Join(err, hub.Close())
	}
	if err := Await("peers of the hub", func() bool { return hub.Peers() == n }); err != nil {
		return nil, nil, errors.Join(err, l.stop(), hub.Close())
	}

	return hub, l, nil
}

// startLeaves returns when all leaves are connected.
func startLeaves(spec leafSpec) (*leaves, error) {
	shared, err := newCounterFile()
	if err != nil {
		return nil, err
	}
	defer shared.Close()
	delivered, err := mapCounters(shared, spec.N)
	if err != nil {
		return nil, err
	}

	arg, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &leaves{cancel: cancel, delivered: delivered}
	if err := l.launch(ctx, string(arg), shared); err != nil {
		cancel()

		return nil, err
	}

	return l, nil
}

func (l *leaves) launch(ctx context.Context, arg string, shared *os.File) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	l.cmd = exec.CommandContext(ctx, exe, commandLeaf, arg)
	l.cmd.Stderr = os.Stderr
	l.cmd.ExtraFiles = []*os.File{shared}
	if l.stdin, err = l.cmd.StdinPipe(); err != nil {
		return err
	}
	stdout, err := l.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := l.cmd.Start(); err != nil {
		return err
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return fmt.Errorf("leaves did not start: %q, %w", line, errors.Join(err, l.stop()))
	}

	return nil
}

// stop kills the process of the leaves, which need no cleanup.
func (l *leaves) stop() error {
	l.cancel()
	err := l.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) || errors.Is(err, context.Canceled) {
		return nil
	}

	return err
}

// runLeaf is the main function of a process of leaves. It ends when its parent does.
func runLeaf(projects map[string]Project, arg string) error {
	var spec leafSpec
	if err := json.Unmarshal([]byte(arg), &spec); err != nil {
		return fmt.Errorf("leaf: %w", err)
	}
	nw, err := network(projects, spec.Stack, spec.Idle)
	if err != nil {
		return err
	}
	delivered, err := mapCounters(os.NewFile(inheritedFile, "counters"), spec.N)
	if err != nil {
		return err
	}
	for i := range spec.N {
		if err := nw.NewLeaf(spec.Addr, func(byte, []byte) { delivered[i].Add(1) }); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)

	return err
}
