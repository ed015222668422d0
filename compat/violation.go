package compat

import "errors"

// ErrViolation is wrapped by the error that ends a connection whose remote broke the protocol,
// as no honest node does and no fault of the network can. A switch refuses such a peer for a
// time. A Transport wraps it in what it passes to HandlePeerError, a Reactor in what it passes
// to StopPeerForError.
var ErrViolation = errors.New("protocol violation")
