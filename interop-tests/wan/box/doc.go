// Package box puts a wide-area network on one machine: network namespaces, each with a TUN
// device, and a router in user space that passes IPv4 packets between them. Programs in the
// namespaces use the kernel's own TCP and UDP, which meet the latency, jitter, loss,
// reordering and uplinks of a [Config]. The kernel needs neither netem nor any other module.
//
//	b, err := box.New(box.Config{Places: 2, Path: box.Even(box.Path{Delay: 50 * time.Millisecond})})
//	...
//	defer b.Close()
//	err = b.Place(0).Do(func() error { ... }) // sockets and processes made here are in the namespace
//
// What happens to a packet depends on its number on the path, on the load of the uplink and
// on [Config].Seed alone. So two runs that send the same packets lose the same ones.
//
// It needs Linux, the program ip (iproute2), and the right to create network namespaces and
// TUN devices: root, or a user namespace (unshare -rn). New returns [ErrUnavailable] where
// that is not allowed.
package box
