package lp2p

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	// roleVar makes a test process one machine of a laboratory.
	roleVar = "TM2_NAT_ROLE"
	// answerMark begins the answer of a machine, among what the test prints.
	answerMark = "@nat "

	routerIP  = "1.2.%d.1" // of the internet, in the network of each machine
	relayNet  = 1
	boxANet   = 2
	boxXNet   = 3
	friendNet = 4
	publicNet = 5
)

// machine is a process with a network of its own that does what it is told.
type machine struct {
	t       *testing.T
	name    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Scanner
}

// boot starts a machine without any link.
func boot(t *testing.T, name string) (*machine, error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestNATMachine$", "-test.timeout=3m")
	cmd.Env = append(os.Environ(), roleVar+"="+name)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if name == "laboratory" { // whose root may do all that follows
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m := &machine{t: t, name: name, cmd: cmd, in: in, answers: bufio.NewScanner(out)}
	m.answers.Buffer(nil, 1<<20)
	t.Cleanup(m.shutDown)

	return m, nil
}

// try tells the machine what to do, and returns its answer.
func (m *machine) try(format string, args ...any) (string, error) {
	if _, err := fmt.Fprintf(m.in, format+"\n", args...); err != nil {
		return "", err
	}
	for m.answers.Scan() {
		answer, ok := strings.CutPrefix(m.answers.Text(), answerMark)
		if !ok {
			m.t.Logf("%s: %s", m.name, m.answers.Text())

			continue
		}
		if failure, ok := strings.CutPrefix(answer, "error "); ok {
			return "", fmt.Errorf("%s: %s: %s", m.name, fmt.Sprintf(format, args...), failure)
		}

		return strings.TrimPrefix(answer, "ok "), nil
	}

	return "", fmt.Errorf("%s: %s: it has ended", m.name, fmt.Sprintf(format, args...))
}

func (m *machine) do(format string, args ...any) string {
	m.t.Helper()
	answer, err := m.try(format, args...)
	require.NoError(m.t, err)

	return answer
}

// shutDown lets the machine end, which it does with an error if it leaks.
func (m *machine) shutDown() {
	_ = m.in.Close()
	for m.answers.Scan() {
		m.t.Logf("%s: %s", m.name, m.answers.Text())
	}
	if err := m.cmd.Wait(); err != nil {
		m.t.Errorf("%s: %v", m.name, err)
	}
}

// TestNATNamespaces lets nodes behind NATs of the Linux kernel, each in a network
// namespace of its own, be dialed by plain TM2 addresses of theirs at a relay. It
// needs no privileges where users may have namespaces, else those of root.
func TestNATNamespaces(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("no program ip (iproute2) to link network namespaces:", err)
	}
	lab, err := boot(t, "laboratory")
	if err != nil {
		t.Skip("no user and network namespaces here:", err)
	}
	answer, err := lab.try("experiment")
	require.NoError(t, err)
	if reason, ok := strings.CutPrefix(answer, "skip "); ok {
		t.Skip("this machine cannot simulate NATs: ", reason)
	}
}

// network is the laboratory: a router, machines at it, and two behind NATs.
//
//	          router
//	relay  friend  public  boxA  boxX
//	                        A     X
type links struct {
	relay, friend, public, a, x *machine
}

// build links the machines. Its errors mean that this is not possible here.
func build(t *testing.T) (*links, error) {
	if err := run("link", "set", "lo", "up"); err != nil {
		return nil, err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return nil, err
	}
	var all []*machine
	start := func(name string) (*machine, error) {
		m, err := boot(t, name)
		if err == nil {
			all = append(all, m)
		}

		return m, err
	}
	atRouter := func(name string, net int) (*machine, error) {
		m, err := start(name)
		if err != nil {
			return nil, err
		}
		err = run("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(m.cmd.Process.Pid))
		if err == nil {
			err = run("addr", "add", fmt.Sprintf(routerIP+"/24", net), "dev", name)
		}
		if err == nil {
			err = run("link", "set", name, "up")
		}
		if err != nil {
			return nil, err
		}

		return m, m.link("eth0", fmt.Sprintf("1.2.%d.2", net), fmt.Sprintf(routerIP, net))
	}
	behind := func(name, box string, net int) (*machine, error) {
		b, err := atRouter(box, net)
		if err != nil {
			return nil, err
		}
		m, err := start(name)
		if err != nil {
			return nil, err
		}
		for _, command := range []string{
			"ip link add inside type veth peer name eth0 netns " + strconv.Itoa(m.cmd.Process.Pid),
			fmt.Sprintf("ip addr add 10.%d.0.1/24 dev inside", net), "ip link set inside up", "masquerade",
		} {
			if _, err := b.try("%s", command); err != nil {
				return nil, err
			}
		}

		return m, m.link("eth0", fmt.Sprintf("10.%d.0.2", net), fmt.Sprintf("10.%d.0.1", net))
	}

	n := &links{}
	for _, add := range []func() (err error){
		func() (err error) { n.relay, err = atRouter("relay", relayNet); return },
		func() (err error) { n.friend, err = atRouter("friend", friendNet); return },
		func() (err error) { n.public, err = atRouter("public", publicNet); return },
		func() (err error) { n.a, err = behind("a", "box-a", boxANet); return },
		func() (err error) { n.x, err = behind("x", "box-x", boxXNet); return },
	} {
		if err := add(); err != nil {
			return nil, err
		}
	}
	t.Cleanup(func() {
		for _, m := range all {
			_ = m.in.Close() // they end side by side; shutDown waits for each
		}
	})

	return n, nil
}

// link gives an interface of the machine an address and a way to everywhere.
func (m *machine) link(dev, ip, router string) error {
	for _, command := range []string{
		"link set lo up", "addr add " + ip + "/24 dev " + dev, "link set " + dev + " up", "route add default via " + router,
	} {
		if _, err := m.try("ip %s", command); err != nil {
			return err
		}
	}

	return nil
}

// run calls the program ip.
func run(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}

	return nil
}

// experiment runs in the laboratory. It returns why it cannot, if so.
func experiment(t *testing.T) string {
	n, err := build(t)
	if err != nil {
		return "skip " + err.Error()
	}
	relay := n.relay.do("start 1.2.%d.2 relay", relayNet)
	inside := n.x.do("start 10.%d.0.2 punch client=%s", boxXNet, relay)
	id, _, _ := strings.Cut(inside, "@")
	relayed := n.x.do("relayed")
	require.Equal(t, id+"@1.2.1.2:26656", relayed)

	t.Log("nobody reaches the node where it is")
	n.friend.do("start 1.2.%d.2 client autonat", friendNet)
	_, err = n.friend.try("dial %s", strings.Replace(inside, "10.3.0.2", "1.2.3.2", 1))
	require.Error(t, err)

	t.Log("a public node is called back")
	require.Contains(t, n.friend.do("dial %s", relayed), "inbound /ip4/1.2.3.2/")

	t.Log("two nodes behind NATs punch holes")
	n.a.do("start 10.%d.0.2 punch autonat", boxANet)
	require.Contains(t, n.a.do("dial %s", relayed), "outbound /ip4/1.2.3.2/udp/")

	t.Log("a node becomes a relay when two others reach it")
	public := n.public.do("start 1.2.%d.2 relay autonat", publicNet)
	require.Equal(t, "false", n.public.do("relays"))
	n.friend.do("dial %s", public)
	n.a.do("dial %s", public)
	n.public.do("await-relay")

	return "done"
}
