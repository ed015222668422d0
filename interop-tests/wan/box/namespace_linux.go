package box

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace of this process. It is the namespace of one thread, on
// which Do runs functions.
type Namespace struct {
	do    chan func()
	ended chan struct{}
}

// NewNamespace returns a new namespace, whose only interface, lo, is down.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{do: make(chan func()), ended: make(chan struct{})}
	begun := make(chan error)
	go n.serve(begun)
	if err := <-begun; err != nil {
		<-n.ended

		return nil, fmt.Errorf("%w: network namespace: %w", ErrUnavailable, err)
	}

	return n, nil
}

// serve runs the functions. The thread ends with the goroutine, which stays locked to it.
func (n *Namespace) serve(begun chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread cannot end. While it is locked, the other goroutine gets another one.
		passed := make(chan error)
		go n.serve(passed)
		begun <- <-passed
		runtime.UnlockOSThread()

		return
	}
	defer close(n.ended)
	err := errors.Join(normal(), unix.Unshare(unix.CLONE_NEWNET))
	begun <- err
	if err != nil {
		return
	}
	for f := range n.do {
		f()
	}
}

// Do runs f on the thread of the namespace, one call after the other. The sockets that f
// opens and the processes that it starts are in the namespace, and stay there.
func (n *Namespace) Do(f func() error) error {
	result := make(chan error)
	n.do <- func() { result <- f() }

	return <-result
}

// Close ends the thread. The kernel removes the namespace when its processes have ended and
// its sockets are closed.
func (n *Namespace) Close() {
	close(n.do)
	<-n.ended
}

// IP runs commands of the program ip in the namespace.
func (n *Namespace) IP(commands ...string) error {
	return n.Do(func() error {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: ip %s: %w: %s", ErrUnavailable, strings.Join(commands, "; "), err, bytes.TrimSpace(out))
		}

		return nil
	})
}
