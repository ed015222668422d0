// Package child runs parts of a program in processes of their own, so that they can
// be killed and paused. The processes are the program itself, started again: its main
// function, or TestMain, calls [Main] first.
//
// A child is told what to do by a line of JSON on its standard input, says what
// happens by lines on its standard output, and ends when the input is closed.
package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// roleVariable names, in the environment of a child, what the child is.
const roleVariable = "CLUSTER_CHILD"

// stopTimeout bounds a child's clean end; it is killed then.
const stopTimeout = 30 * time.Second

// Role is what a child does: it reads what it needs from spec, and returns when the
// context ends. Each say is a line for the parent.
type Role func(ctx context.Context, spec json.RawMessage, say func(line string)) error

// Main runs the role that the environment names, and does not return then. In a
// process that is no child it returns at once.
func Main(roles map[string]Role) {
	name, ok := os.LookupEnv(roleVariable)
	if !ok {
		return
	}
	if err := run(roles[name]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(role Role) error {
	if role == nil {
		return errors.New("no such role")
	}
	input := bufio.NewReader(os.Stdin)
	spec, err := input.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("no specification: %w", err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with the process
		defer cancel()
		_, _ = io.Copy(io.Discard, input) // however it ends, the parent is gone
	}()
	var mtx sync.Mutex

	return role(ctx, spec, func(line string) {
		mtx.Lock()
		defer mtx.Unlock()
		fmt.Println(line)
	})
}

// Process is a child that runs.
type Process struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	ended chan struct{} // closed at the end of the output
	err   error         // of reading it, once ended is closed
}

// Start starts a child in the role. Its lines go to hear, one at a time, from a
// goroutine that ends with the child; its standard error is this process's.
func Start(role string, spec any, hear func(line string)) (*Process, error) {
	line, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, input: input, ended: make(chan struct{})}
	go func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			hear(lines.Text())
		}
		p.err = lines.Err()
		close(p.ended)
	}()
	if _, err := input.Write(append(line, '\n')); err != nil {
		return nil, errors.Join(err, p.Kill())
	}

	return p, nil
}

// Signal sends the child a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Ended is closed when the child says nothing more, which it does until its end.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Stop lets the child end by itself, and waits for it.
func (p *Process) Stop() error {
	timer := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() }) // it may have just ended
	defer timer.Stop()
	err := p.input.Close()
	<-p.ended

	return errors.Join(err, p.err, p.cmd.Wait())
}

// Kill ends the child at once, as a crash would, and waits until it is gone.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	<-p.ended
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	_ = p.input.Close() // Wait has closed it

	return p.err
}
