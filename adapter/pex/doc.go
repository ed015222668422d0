// Package pex is peer exchange: the discovery reactor of TM2 (channel 0x50). Package
// adapter/addrbook has the address book behind it.
//
// A node asks its peers for addresses and dials what it is told, and answers
// with those it knows. The messages are those of docs/wire.md §6; what the
// reactor tells, believes and refuses, and how the book is kept, is described in
// docs/discovery.md.
//
//	book, err := addrbook.Open(path, *nodeInfo.NetAddress, addrbook.WithPrivatePeers(private))
//	if err != nil {
//		return err
//	}
//	sw := adapter.NewMultiplexSwitch(transport,
//		adapter.WithReactor("discovery", pex.NewReactor(book)),
//		adapter.WithPrivatePeers(private),
//	)
//
// Addresses from others are hints: they are rate-limited, capped for each source,
// and lead to nothing but dials, of which the switch decides. A peer that is
// private appears neither in an answer nor in the book.
package pex
