package lp2p

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/stretchr/testify/require"

	"github.com/tm2-libp2p/tm2-libp2p/compat"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// TestNATMachine is a machine of TestNATNamespaces: it does what its standard input
// says, line by line, and ends with it.
func TestNATMachine(t *testing.T) {
	if os.Getenv(roleVar) == "" {
		t.Skip("only as a part of TestNATNamespaces")
	}
	var n *node
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		verb, rest, _ := strings.Cut(commands.Text(), " ")
		answer, err := "", error(nil)
		switch verb {
		case "experiment":
			answer = experiment(t)
		case "ip":
			err = run(strings.Fields(rest)...)
		case "masquerade":
			err = masquerade()
		case "start":
			n = startNode(t, strings.Fields(rest))
			addr := n.NetAddress()
			answer = addr.String()
		case "relayed":
			awaitRelayed(t, n)
			awaitProtocol(t, n, holepunch.Protocol)
			addr := n.RelayedAddresses()[0]
			answer = addr.String()
		case "dial":
			answer, err = dialEcho(t, n, rest)
		case "relays":
			answer = fmt.Sprint(speaks(n, proto.ProtoIDv2Hop))
		case "await-relay":
			awaitProtocol(t, n, proto.ProtoIDv2Hop)
		default:
			err = errors.New("unknown command")
		}
		if err != nil {
			fmt.Printf("%serror %s\n", answerMark, strings.ReplaceAll(err.Error(), "\n", " "))

			continue
		}
		fmt.Printf("%sok %s\n", answerMark, answer)
	}
	require.NoError(t, commands.Err())
}

// startNode starts a node that listens at the first argument, and does about NATs
// what the others say. It returns what it gets on one channel on another.
func startNode(t *testing.T, args []string) *node {
	timeouts := DefaultTimeouts()
	timeouts.Dial, timeouts.Handshake = 15*time.Second, 15*time.Second // one dial has to fail
	opts := []Option{WithQUIC(), WithTimeouts(timeouts)}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "punch":
			opts = append(opts, WithHolePunching())
		case "relay":
			opts = append(opts, WithRelayService(DefaultRelayLimits()))
		case "autonat":
			opts = append(opts, WithAutoNAT())
		case "client":
			var relays []types.NetAddress
			if value != "" {
				relay, err := types.NewNetAddressFromString(value)
				require.NoError(t, err)
				relays = append(relays, *relay)
			}
			opts = append(opts, WithRelayClient(relays...))
		default:
			require.Fail(t, "unknown option", name)
		}
	}

	key := types.GenerateNodeKey()
	tr, err := NewTransport(nodeInfo(key.ID()), *key, nil, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	require.NoError(t, tr.Listen(types.NetAddress{IP: net.ParseIP(args[0]), Port: 26656}))
	n := &node{Transport: tr, behavior: newBehavior(), key: key}
	n.reactor.hook = func(channel byte, peer compat.PeerConn, msg []byte) {
		if channel == chA {
			peer.Send(chB, append([]byte("echo "), msg...))
		}
	}
	n.acceptLoop(t)

	return n
}

// dialEcho makes a session, uses it, and returns what its connection is.
func dialEcho(t *testing.T, n *node, to string) (string, error) {
	addr, err := types.NewNetAddressFromString(to)
	require.NoError(t, err)
	p, err := n.Dial(timeout(t), *addr, n.behavior)
	if err != nil {
		return "", err
	}
	require.NoError(t, p.Start())
	before := n.reactor.count()
	require.True(t, p.Send(chA, []byte("hello")))
	n.reactor.await(t, before+1)
	require.Equal(t, "echo hello", string(n.reactor.on(chB)[before]))
	conn := p.(*Peer).s.conn

	return strings.ToLower(conn.Stat().Direction.String()) + " " + conn.RemoteMultiaddr().String(), nil
}
