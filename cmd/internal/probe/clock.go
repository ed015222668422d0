package probe

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// rpcTimeout bounds the question to the RPC server of a node, which is often not open.
const rpcTimeout = 2 * time.Second

// ClockAhead returns by how much the clock of a node is ahead of this machine's, to a second, and
// false if the node does not tell. Neither handshake has a time, but the RPC server of a TM2
// node is HTTP, whose answers have a Date (RFC 9110, section 6.6.1). It is asked at the port
// that the node tells, on the host that was probed.
func ClockAhead(ctx context.Context, r *Result) (ahead time.Duration, known bool) {
	return clockAhead(ctx, r, rpcTimeout)
}

// clockAhead is ClockAhead with a bound for the question.
func clockAhead(ctx context.Context, r *Result, timeout time.Duration) (ahead time.Duration, known bool) {
	if r.NodeInfo == nil {
		return 0, false
	}
	port, told := rpcPort(r.NodeInfo.Other.RPCAddress)
	if !told {
		return 0, false
	}
	host, _, err := net.SplitHostPort(r.Address)
	if err != nil {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+net.JoinHostPort(host, port)+"/health", nil)
	if err != nil {
		return 0, false
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	begin := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return 0, false
	}
	if err := resp.Body.Close(); err != nil {
		return 0, false
	}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, false
	}
	middle := begin.Add(time.Since(begin) / 2)

	return date.Sub(middle).Round(time.Second), true
}

// rpcPort returns the port of an RPC address as a number that was read from it, and false if there is
// none between 1 and 65535. Text of the node in a URL could name another host.
func rpcPort(address string) (port string, told bool) {
	_, text, err := net.SplitHostPort(strings.TrimPrefix(address, "tcp://"))
	if err != nil {
		return "", false
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || number == 0 {
		return "", false
	}

	return strconv.FormatUint(number, 10), true
}
