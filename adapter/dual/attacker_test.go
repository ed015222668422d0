package dual_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// attackVar is set in a process that attacks a node. Its value is an attackSpec in JSON.
const attackVar = "TM2_ATTACK"

// attackSpec is what an attacker does to the node at an address, until its standard input
// ends.
type attackSpec struct {
	To    types.NetAddress
	Port  uint16 // that JSON does not keep
	IP    string // likewise
	Pace  time.Duration
	Begin string   // of a flood: how its connections begin
	IPs   []string // of a flood: from where
	Kinds []string // of visits: the stacks that the visitors speak, in turn
	From  string   // of visits: the IP of all
}

// attackReport is what an attacker has done.
type attackReport struct {
	Conns   int // that were closed by the node, or let in and left again
	Refused int // visits that the node did not let in
}

// attacker is another process, so that its own work is not in what a benchmark measures.
type attacker struct {
	cmd *exec.Cmd
	end io.Closer
	out *bufio.Reader
}

// startAttacker starts an attack and returns when it has begun. Its process gives way to this
// one.
func startAttacker(b *testing.B, spec attackSpec) *attacker {
	b.Helper()
	text, err := json.Marshal(spec)
	require.NoError(b, err)
	cmd := exec.CommandContext(b.Context(), "nice", "-n", "10", os.Args[0])
	cmd.Env = append(os.Environ(), attackVar+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	a := &attacker{cmd, in, bufio.NewReader(out)}
	begun, err := a.out.ReadString('\n')
	require.NoError(b, err)
	require.Equal(b, "begun\n", begun)

	return a
}

// stop ends the attack and returns what it has done.
func (a *attacker) stop(b *testing.B) (report attackReport) {
	b.Helper()
	require.NoError(b, a.end.Close())
	require.NoError(b, json.NewDecoder(a.out).Decode(&report))
	require.NoError(b, a.cmd.Wait())

	return report
}

// attack is the other process.
func attack(text string, end io.Reader, out io.Writer) error {
	var spec attackSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	stop := flood
	if len(spec.Kinds) > 0 {
		stop = visit
	}
	report, err := stop(spec, func() error {
		if _, err := fmt.Fprintln(out, "begun"); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, end)

		return err
	})
	if err != nil {
		return err
	}

	return json.NewEncoder(out).Encode(report)
}

// flood holds connections that prove no ID.
func flood(spec attackSpec, begun func() error) (attackReport, error) {
	f := startFlood(net.JoinHostPort(spec.IP, fmt.Sprint(spec.Port)), beginnings[spec.Begin], spec.Pace, spec.IPs)
	err := begun()
	f.Stop()

	return attackReport{Conns: f.Again()}, err
}

// visit connects as a peer, and leaves at once.
func visit(spec attackSpec, begun func() error) (attackReport, error) {
	spec.To.IP, spec.To.Port = net.ParseIP(spec.IP), spec.Port
	var in, refused atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pace := time.NewTicker(spec.Pace)
	defer pace.Stop()
	var visitors sync.WaitGroup
	for i := range 16 { // at a time, each under an ID of its own
		tr, err := atIP(spec.Kinds[i%len(spec.Kinds)], spec.From, loopbackSpec())
		if err != nil {
			return attackReport{}, err
		}
		visitors.Go(func() {
			defer tr.Close()
			for {
				select {
				case <-pace.C:
				case <-ctx.Done():
					return
				}
				if p, err := tr.Dial(ctx, spec.To, newBehavior()); err == nil {
					in.Add(1)
					_ = p.CloseConn() // the node may have closed it
				} else {
					refused.Add(1)
				}
			}
		})
	}
	err := begun()
	cancel()
	visitors.Wait()

	return attackReport{Conns: int(in.Load()), Refused: int(refused.Load())}, err
}

// attackOn returns the part of an attack that names the node.
func attackOn(node compat.ListeningTransport, ip string) attackSpec {
	addr := node.NetAddress()

	return attackSpec{To: types.NetAddress{ID: addr.ID}, IP: ip, Port: addr.Port}
}
