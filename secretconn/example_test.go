package secretconn_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/secretconn"
)

// secure runs the handshake in the 3 s that real nodes allow for it.
func secure(conn net.Conn, key ed25519.PrivateKey) (*secretconn.SecretConnection, error) {
	if err := conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return nil, err
	}

	sc, err := secretconn.MakeSecretConnection(conn, key)
	if err != nil {
		return nil, err
	}

	return sc, conn.SetDeadline(time.Time{})
}

// listen accepts one peer and echoes its data.
func listen(l net.Listener, key ed25519.PrivateKey) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()

	sc, err := secure(conn, key)
	if err != nil {
		return err
	}

	_, err = io.Copy(sc, sc)

	return err
}

func ExampleMakeSecretConnection() {
	dialerKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	listenerKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)

		return
	}
	defer l.Close()

	done := make(chan error, 1)
	go func() { done <- listen(l, listenerKey) }()

	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)

		return
	}

	defer conn.Close() // in case the handshake fails; a second Close does nothing

	sc, err := secure(conn, dialerKey)
	if err != nil {
		fmt.Println(err)

		return
	}

	fmt.Println("listener:", sc.RemotePubKey().Equal(listenerKey.Public()))

	answer := make([]byte, 5)
	_, writeErr := sc.Write([]byte("hello"))
	_, readErr := io.ReadFull(sc, answer)
	fmt.Println(string(answer), writeErr, readErr)
	fmt.Println(sc.Close(), <-done)
	// Output:
	// listener: true
	// hello <nil> <nil>
	// <nil> <nil>
}
