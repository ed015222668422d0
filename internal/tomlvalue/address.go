package tomlvalue

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// SplitAddress reads "tcp://host:port" or "host:port". The host may be empty; an
// IPv6 address comes without its brackets.
func SplitAddress(address string) (host string, port uint16, err error) {
	rest := address
	if scheme, after, found := strings.Cut(address, "://"); found {
		if scheme != "tcp" {
			return "", 0, errors.New("only tcp:// is supported")
		}
		rest = after
	}
	host, text, err := net.SplitHostPort(rest)
	if err != nil {
		return "", 0, errors.New(`it must be an IP address and a port, as "tcp://0.0.0.0:26656"`)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is not a port between 0 and 65535", text)
	}

	return host, uint16(n), nil
}
