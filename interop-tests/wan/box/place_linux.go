package box

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// device is the name of the TUN device in every place.
const device = "tun0"

// Place is a namespace with a TUN device and one address.
type Place struct {
	*Namespace

	addr       netip.Addr
	congestion string
}

// newPlace returns a place and the file descriptor of its device.
func newPlace(addr netip.Addr, congestion string) (_ *Place, tun int, err error) {
	n, err := NewNamespace()
	if err != nil {
		return nil, 0, err
	}
	p := &Place{Namespace: n, addr: addr, congestion: congestion}
	if tun, err = p.setUp(); err != nil {
		n.Close()

		return nil, 0, err
	}

	return p, tun, nil
}

func (p *Place) setUp() (tun int, err error) {
	if err = p.Do(func() error { tun, err = openTUN(); return err }); err != nil {
		return 0, err
	}
	err = p.Do(func() error {
		for path, value := range map[string]string{
			"ipv4/tcp_rmem": TCPReceiveMemory, "ipv4/tcp_wmem": TCPSendMemory,
			"ipv6/conf/all/disable_ipv6": "1", // the router passes IPv4 only
		} {
			if err := os.WriteFile("/proc/sys/net/"+path, []byte(value), 0); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("%w: %w", ErrUnavailable, err)
			}
		}

		return nil
	})
	if err == nil {
		err = p.IP("link set lo up", fmt.Sprintf("link set %s mtu %d txqueuelen 5000 up", device, mtu),
			"addr add "+p.addr.String()+"/32 dev "+device, p.route())
	}
	if err != nil {
		_ = unix.Close(tun) // the error above says more
	}

	return tun, err
}

// route is the only route. It sets the congestion control: the sysctl would refuse those that
// unprivileged users may not choose.
func (p *Place) route() string {
	return fmt.Sprintf("route replace default dev %s src %s congctl %s", device, p.addr, p.congestion)
}

// Addr returns the address of the place.
func (p *Place) Addr() netip.Addr { return p.addr }

func openTUN() (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, fmt.Errorf("%w: /dev/net/tun: %w", ErrUnavailable, err)
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd) // the error above says more

		return 0, fmt.Errorf("%w: TUN device: %w", ErrUnavailable, err)
	}

	return fd, nil
}
