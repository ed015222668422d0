// Package rawnative is a native TM2 peer that does what a conformance case says, well formed or
// not. It is written from docs/wire.md and shares only the encodings of package wire with the
// implementation that it may judge: neither secretconn nor mconn would send what a case needs.
//
//	p, err := rawnative.New(ctx, conn, key, 10*time.Second)
//	p.Exchange()
//	p.Chunks(p.Auth(wire.AuthPlain))
//	p.Message(info)
//	p.ReceiveAuth()
//	p.ReceiveNodeInfo()
//	p.Ping()
//	err = p.Failure()
//
// Scripts are written without error handling: the first failure stays, later calls do nothing,
// and Failure returns it. Every call is bounded by the peer's deadline.
package rawnative
