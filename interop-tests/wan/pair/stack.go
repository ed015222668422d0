package pair

import "github.com/tm2-libp2p/tm2-libp2p/interop-tests/cluster"

// plainTCP is the name of the nodes that are two TCP connections, one for each channel.
const plainTCP = "tcp"

// Stack is what two nodes run.
type Stack struct {
	// Name is the row of the table.
	Name string
	// Dialer and Listener name stacks of package cluster.
	Dialer, Listener string
	// Lifted raises the rate limits of both nodes, and of the bridge, to 1 GB/s.
	Lifted bool
	// Bridge joins the nodes. It is at the place of the listener.
	Bridge bool
}

// Stacks returns the rows of the table. The first one is the reference.
func Stacks() []Stack {
	same := func(name string, s string, lifted bool) Stack {
		return Stack{Name: name, Dialer: s, Listener: s, Lifted: lifted}
	}
	gno, native := cluster.Gno().Name, cluster.Native().Name

	return []Stack{
		same("plain TCP", plainTCP, false),
		same("gno v1.7.1", gno, false),
		same("gno v1.7.1, rates lifted", gno, true),
		same("native", native, false),
		same("native, rates lifted", native, true),
		same("libp2p, TCP", cluster.Libp2p().Name, true),
		same("libp2p, QUIC", cluster.Libp2pQUIC().Name, true),
		same("dual", cluster.Dual().Name, true),
		{Name: "native to libp2p, bridge", Dialer: native, Listener: cluster.Libp2p().Name, Lifted: true, Bridge: true},
	}
}
