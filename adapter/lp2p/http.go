package lp2p

import (
	"fmt"
	"io"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/internal/socket"
)

const (
	// httpTimeout bounds the answer to an HTTP client, and maxRequest what is read of its
	// request, in bytes.
	httpTimeout = time.Second
	maxRequest  = 16 << 10
)

// answerHTTP tells an HTTP client what this port is.
func answerHTTP(conn net.Conn) {
	const text = "This port serves peers of a Tendermint2 network, and no HTTP.\n"
	answer := fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		len(text), text)
	if conn.SetDeadline(time.Now().Add(httpTimeout)) != nil {
		return // it is closed
	}
	if _, err := io.WriteString(conn, answer); err != nil {
		return
	}
	// What is left unread at the close would destroy the answer.
	if socket.CloseWrite(conn) == nil {
		_, _ = io.CopyN(io.Discard, conn, maxRequest)
	}
}
