// Package addrbook keeps the addresses of peers, with what this node knows of each:
// how it came to know the address, when the peer last answered there, and how the last
// dials ended.
//
// A [Book] keeps facts and decides nothing. Discovery reactors, transports and bridges
// read it and choose by themselves whom they ask, tell and dial. They share one book,
// so that each profits from what the others have seen:
//
//	book, err := addrbook.Open(path, self, addrbook.WithPrivatePeers(private))
//
// # How an address is known
//
// An address is one of these, the most trustworthy first:
//
//   - configured: the operator names it ([Book.Configure]);
//   - answered: this node dialed it, and the peer proved its ID there
//     ([Book.MarkConnected], [Book.MarkAnswered]);
//   - announced: the peer itself tells it ([Book.Add] with the peer as [Source]);
//   - told: another peer tells it ([Book.Add]). It may be a lie.
//
// A peer that dials this node has not answered at any address.
//
// # Limits
//
// The book holds a bounded number of addresses, of which one source, one peer, one
// host and one network have a share each (see eviction.go). Over a limit the address
// that is worth least goes: first those that failed three times and have never answered, have
// failed for a day or are another peer's, then told ones, then announced ones, then answered
// ones, and last anchors. Of one kind, those seen or connected longest ago go first. In a full
// book, addresses beyond the share of their network, and failing ones beyond half of the book, go
// before all that are not given up. A configured address stays.
//
// A failed dial counts against its address, not against the peer. It counts against
// the IP and port as well, whatever ID was asked for, since IDs can be made up without
// end (see endpoints.go).
//
// # The file
//
// A book that was opened with a path is saved there, in the format of TM2's own book.
// docs/discovery.md describes it.
package addrbook
