package dropin

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/gnolang/gno/tm2/pkg/p2p"

	"github.com/tm2-libp2p/tm2-libp2p/adapter/addrbook"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/config"
	"github.com/tm2-libp2p/tm2-libp2p/adapter/pex"
	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// addrBook returns the address book of the libp2p stack: that of our discovery reactor among
// the reactors, else one with a file if there is a DHT, which saves it. Nil means one in memory.
//
// A book that cannot be opened is no reason for a node not to start: it works as one whose
// book is in memory, and what is on the disk stays as it is.
func (p *plan) addrBook(o *options) *addrbook.Book {
	if book := addrBookOf(p.reactors); book != nil {
		return book
	}
	path := dhtBookFile(p.cfg)
	if path == "" || !o.withDHT || !p.cfg.PeerExchange {
		return nil
	}
	book, err := p.openBook(path)
	if err != nil {
		p.logger.Warn("the DHT forgets its peers when the node stops, since it has no file for them", "file", path, "err", err)
	}

	return book
}

// openBook opens the book in the file, whose folder it makes as gno does for its own book.
func (p *plan) openBook(path string) (*addrbook.Book, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	lists, _ := p.cfg.PeerLists() // newPlan logs invalid entries

	return addrbook.Open(path, types.NetAddress{ID: p.key.ID()}, addrbook.WithLogger(p.logger),
		addrbook.WithPrivatePeers(lists.Private), addrbook.WithAllowDuplicateIP(p.cfg.AllowDuplicateIP))
}

// dhtBookFile returns the file of the DHT's address book, or nothing if the config has no home
// directory. It stands beside addr_book_file, in which gno's discovery reactor keeps its own
// book: each of them would drop what the other one writes.
func dhtBookFile(cfg config.P2PConfig) string {
	if cfg.RootDir == "" {
		return ""
	}
	path := cfg.AddrBookFile()
	ext := filepath.Ext(path)

	return strings.TrimSuffix(path, ext) + ".libp2p" + ext
}

// addrBookOf returns the address book of our discovery reactor among the reactors, or nil.
func addrBookOf(reactors map[string]p2p.Reactor) *addrbook.Book {
	for _, r := range reactors {
		if r, ok := FromReactor(r).(*pex.Reactor); ok && r != nil {
			return r.AddrBook()
		}
	}

	return nil
}
