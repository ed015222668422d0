package freeport

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// takeVar makes the test program take that many ports and print them.
const takeVar = "FREEPORT_TAKE"

func TestMain(m *testing.M) {
	n, err := strconv.Atoi(os.Getenv(takeVar))
	if err != nil {
		os.Exit(m.Run())
	}
	for range n {
		port, err := Take()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(port)
	}
	// It keeps its ranges until the test has taken all.
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestTake takes the ports of several ranges.
func TestTake(t *testing.T) {
	var r ranges
	t.Cleanup(func() { r.close(t) })
	seen := make(map[uint16]bool)
	for range 3 * perRange {
		port, err := r.take([]net.IP{net.IPv4(127, 0, 0, 1)})
		require.NoError(t, err)
		require.False(t, seen[port])
		require.Less(t, port, uint16(32768), "systems give it to connections")
		seen[port] = true
	}
}

// close lets other processes have the ranges.
func (r *ranges) close(t *testing.T) {
	t.Helper()
	for _, l := range r.held {
		require.NoError(t, l.Close())
	}
}

// TestProcessesShareNoPort takes many more ports in several processes than would differ by chance.
func TestProcessesShareNoPort(t *testing.T) {
	const processes, each = 8, 3 * perRange / 2
	seen := make(map[string]bool)
	var ended sync.WaitGroup
	defer ended.Wait()
	for range processes {
		cmd := exec.Command(os.Args[0]) // it ends with its standard input
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", takeVar, each))
		cmd.Stderr = t.Output()
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		defer func() {
			assert.NoError(t, stdin.Close())
			ended.Go(func() { assert.NoError(t, cmd.Wait()) })
		}()
		for range each {
			var port string
			_, err := fmt.Fscanln(stdout, &port)
			require.NoError(t, err)
			require.False(t, seen[port], port)
			seen[port] = true
		}
	}
}

func TestPortIsTaken(t *testing.T) {
	ips := []net.IP{net.IPv4(127, 0, 0, 1)}
	port, err := Take(ips...)
	require.NoError(t, err)
	require.NoError(t, try(int(port), ips))
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: ips[0], Port: int(port)})
	require.NoError(t, err)
	require.Error(t, try(int(port), ips))
	require.NoError(t, udp.Close())
	tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ips[0], Port: int(port)})
	require.NoError(t, err)
	require.Error(t, try(int(port), ips))
	require.Error(t, try(int(port), []net.IP{net.IPv4(127, 0, 0, 2), ips[0]}), "it is free at one of them")
	require.NoError(t, tcp.Close())
}
