package gnoland

import (
	"bytes"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stopTimeout is how long a process may take to end after SIGTERM.
const stopTimeout = 60 * time.Second

// process runs a program that may be stopped, killed and started again.
type process struct {
	log   string // file
	cmd   *exec.Cmd
	ended chan struct{} // closed when the program has ended
}

// start runs a program of the folder -bin. Its output is appended to the log.
func (p *process) start(t *testing.T, env []string, program string, args ...string) {
	t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer func() { require.NoError(t, log.Close()) }()
	p.cmd = exec.Command(filepath.Join(*bin, program), args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	require.NoError(t, p.cmd.Start())
	ended := make(chan struct{})
	p.ended = ended
	cmd := p.cmd
	go func() {
		_ = cmd.Wait() // the state has how it ended
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // unless it has ended
		<-ended
	})
}

// stop ends the program as an operator does, and checks that it ends well and in time.
func (p *process) stop(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		require.Fail(t, "the program does not stop", "log: %s", p.tail(t))
	}
	require.Zero(t, p.cmd.ProcessState.ExitCode(), "log: %s", p.tail(t))

	return time.Since(start)
}

// kill ends the program at once, as kill -9 does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Kill())
	<-p.ended
}

// running reports whether the program has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// output returns what the program has logged since its first start.
func (p *process) output(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	require.NoError(t, err)

	return string(text)
}

// tail returns the last lines of the log.
func (p *process) tail(t *testing.T) string {
	t.Helper()
	lines := strings.Split(p.output(t), "\n")

	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// command runs a program of the folder -bin to its end, and returns its output.
func command(t *testing.T, env []string, input, program string, args ...string) string {
	t.Helper()
	text, err := tryCommand(t, env, input, program, args...)
	require.NoError(t, err, "%s %s: %s", program, strings.Join(args, " "), text)

	return text
}

func tryCommand(t *testing.T, env []string, input, program string, args ...string) (string, error) {
	t.Helper()
	var output bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(*bin, program), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &output, &output
	err := cmd.Run()

	return output.String(), err
}

// ports holds those that freePort has returned: a node may listen much later.
var ports = make(map[int]bool)

// freePort returns a TCP port of 127.0.0.1 that nobody uses now. It is below those that
// systems use for outgoing connections, so that the port of a stopped node stays free.
func freePort(t *testing.T) int {
	t.Helper()
	for {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if ports[port] || err != nil {
			continue
		}
		require.NoError(t, l.Close())
		ports[port] = true

		return port
	}
}

// logFile returns the file for a log: in the folder of -logs, or a temporary one.
func logFile(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if *logs != "" {
		dir = filepath.Join(*logs, strings.ReplaceAll(t.Name(), "/", "_"))
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}

	return filepath.Join(dir, name+".log")
}
