// Package child runs parts of a program in child processes, which can be killed and paused.
// A child runs the same program unless it is started with another one: the main function, or
// TestMain, of either must call [Main] first.
//
// A child reads its specification, a line of JSON, from its standard input, and reports
// events by lines on its standard output. It ends when its input is closed.
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

// roleVariable is the environment variable with the role of a child.
const roleVariable = "CLUSTER_CHILD"

// stopTimeout is how long Stop waits before it kills the child.
const stopTimeout = 30 * time.Second

// Role is the main function of a child. spec is its specification. It returns when the
// context ends. say sends a line to the parent.
type Role func(ctx context.Context, spec json.RawMessage, say func(line string)) error

// Main runs the role of a child and exits. In a process that is not a child, it returns at
// once.
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
		_, _ = io.Copy(io.Discard, input) // any end means that the parent has ended
	}()
	var mtx sync.Mutex

	return role(ctx, spec, func(line string) {
		mtx.Lock()
		defer mtx.Unlock()
		fmt.Println(line)
	})
}

// Process is a child process.
type Process struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	ended chan struct{} // closed at the end of the output
	err   error         // of reading the output, valid once ended is closed
}

// Start starts a child in the role. onLine is called for each line of its output, one at a
// time, in a goroutine that ends with the child. The child shares this process's standard
// error.
func Start(role string, spec any, onLine func(line string)) (*Process, error) {
	return StartProgram("", role, spec, onLine)
}

// StartProgram is like [Start] for another program, whose main function calls [Main] too. ""
// is this program.
func StartProgram(program, role string, spec any, onLine func(line string)) (*Process, error) {
	line, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(program)
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
			onLine(lines.Text())
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

// Ended returns a channel that is closed when the output of the child ends, which is when
// the child ends.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Stop closes the input of the child and waits for its end. It kills the child after 30 s.
func (p *Process) Stop() error {
	timer := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() }) // fails only if the child has ended
	defer timer.Stop()
	err := p.input.Close()
	<-p.ended

	return errors.Join(err, p.err, p.cmd.Wait())
}

// Kill kills the child, like a crash, and waits for its end.
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
