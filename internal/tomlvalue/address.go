package tomlvalue

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// SplitList splits a comma separated list as TM2 does: spaces and empty entries
// do not matter.
func SplitList(list string) []string {
	var entries []string
	for entry := range strings.SplitSeq(list, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}

	return entries
}

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

// CheckPeer checks the form ID@host:port without resolving the host.
func CheckPeer(peer string) error {
	_, err := types.ParseNetAddress(peer)
	if err != nil && !errors.Is(err, types.ErrHostnameNotIP) {
		return fmt.Errorf("it must be ID@host:port: %w", err)
	}
	_, hostPort, _ := strings.Cut(peer, "@")
	if _, port, err := SplitAddress(hostPort); err == nil && port == 0 {
		return errors.New("port 0 cannot be dialed")
	}

	return nil
}

// ParseID reads a TM2 ID.
func ParseID(text string) (types.ID, error) {
	id := types.ID(text)
	if err := id.Validate(); err != nil {
		return "", fmt.Errorf("it is not a TM2 ID: %w", err)
	}

	return id, nil
}
