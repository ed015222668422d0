package addrbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
	"github.com/tm2-libp2p/tm2-libp2p/internal/atomicfile"
)

const (
	// maxFileSize bounds what is read of a book. One of 1000 addresses has some
	// 250 kB.
	maxFileSize = 4 << 20

	// maxAge is how long an address is kept that nobody has told and this node
	// has not been connected to.
	maxAge = 30 * 24 * time.Hour

	// maxAside is how many corrupt files are kept.
	maxAside = 10

	// fileMode is for the owner only, unlike TM2's 0644: with which peers a node talks,
	// and when, concerns nobody else. TM2 reads the file as the same user.
	fileMode = 0o600

	// renewInterval is after what time a save is worth it for newer times alone.
	renewInterval = 10 * time.Minute
)

// ErrNotAFile is returned, wrapped, by Open for a path at which there is
// something else than a regular file.
var ErrNotAFile = errors.New("not a regular file")

// unsaved says what of a book is not on the disk.
type unsaved struct {
	changed bool      // addresses, or what makes them worth telling
	renewed bool      // times and failures
	saved   time.Time // when the book was last written or read
}

// due reports whether a save is worth it.
func (u *unsaved) due(now time.Time) bool {
	return u.changed || u.renewed && now.Sub(u.saved) >= renewInterval
}

// bookFile is the file of a book. Its shape is that of TM2's store, which skips
// the fields it does not know.
type bookFile struct {
	Peers []json.RawMessage `json:"peers"`
}

// fileEntry is one address in the file. Times are Unix times in seconds, 0 for
// none.
type fileEntry struct {
	Addr          string `json:"addr"` // ID@IP:port
	LastSeen      int64  `json:"last_seen"`
	LastConnected int64  `json:"last_connected,omitempty"`

	// Beyond TM2.
	Advertised  bool        `json:"advertised,omitempty"`
	Anchor      bool        `json:"anchor,omitempty"`
	Failures    int         `json:"failures,omitempty"`
	Failing     int64       `json:"failing_since,omitempty"` // when the first of them was
	Source      types.ID    `json:"source,omitempty"`
	SourceGroup string      `json:"source_group,omitempty"`
	Key         []byte      `json:"key,omitempty"`   // of the peer
	Stack       types.Stack `json:"stack,omitempty"` // on which the peer answered last
}

// Open reads the book from the file, or begins an empty one if there is
// none. Self is the address that this node announces in its NodeInfo, and not the one
// at which it listens; the book never takes it. With an empty path the book is in memory
// only. The book holds no resources and needs no closing, but Flush saves it.
//
// Addresses that are not valid, or older than 30 days, are left out. A file that
// is no book at all, or larger than 4 MiB, is renamed to path.corrupt (or
// path.corrupt.1 to path.corrupt.9 if there are others, the last of which is
// overwritten), and the book begins empty. Both are logged.
//
// It is an error when the options are wrong, the folder cannot be written to, the
// path is not that of a regular file (ErrNotAFile), or the file cannot be read or
// renamed.
func Open(path string, self types.NetAddress, opts ...Option) (*Book, error) {
	b := &Book{
		path:      path,
		self:      copyAddr(&self),
		maxPeers:  DefaultMaxPeers,
		maxHints:  DefaultMaxHints,
		logger:    slog.New(slog.DiscardHandler),
		entries:   make(map[types.ID][]*Entry),
		peers:     make(map[types.ID]*peer),
		endpoints: newEndpoints(),
		private:   make(map[types.ID]struct{}),
		secret:    make(map[types.ID]struct{}),
	}
	for _, opt := range opts {
		opt(b)
	}
	if b.maxPeers <= 0 || b.maxHints <= 0 {
		return nil, fmt.Errorf("address book: invalid option: room for %d addresses, for %d hints of one source", b.maxPeers, b.maxHints)
	}
	if path == "" {
		return b, nil
	}
	if err := atomicfile.CheckWritable(path); err != nil {
		return nil, fmt.Errorf("address book %s cannot be written: %w", path, err)
	}
	if err := b.load(); err != nil {
		return nil, fmt.Errorf("address book %s: %w", path, err)
	}

	return b, nil
}

// load fills an empty book.
func (b *Book) load() error {
	b.unsaved.saved = time.Now()
	raw, err := readFile(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, errCorrupt) {
		return b.setAside(err)
	}
	if err != nil {
		return err
	}
	var file bookFile
	if err := json.Unmarshal(raw, &file); err != nil {
		return b.setAside(err)
	}
	b.fill(file.Peers)

	return nil
}

// errCorrupt is wrapped for a file that is no book.
var errCorrupt = errors.New("corrupt")

// readFile returns the file, or errCorrupt if it is too large.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, ErrNotAFile // opening it might block
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFileSize {
		return nil, fmt.Errorf("%w: larger than %d bytes", errCorrupt, maxFileSize)
	}

	return raw, nil
}

// setAside renames the bad file, so that people can look at it, to the first name that is
// free, or to the last one.
func (b *Book) setAside(bad error) error {
	aside := b.path + ".corrupt"
	for i := 1; i < maxAside; i++ {
		_, err := os.Lstat(aside)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		aside = fmt.Sprintf("%s.corrupt.%d", b.path, i)
	}
	if err := os.Rename(b.path, aside); err != nil {
		return fmt.Errorf("cannot set the corrupt file aside: %w", err)
	}
	b.logger.Error("address book is corrupt, starting with an empty one", "file", b.path, "kept as", aside, "err", bad)

	return nil
}

// fill takes the valid entries of a file.
func (b *Book) fill(raw []json.RawMessage) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now := time.Now()
	invalid, expired := 0, 0
	for _, text := range raw {
		var f fileEntry
		err := json.Unmarshal(text, &f)
		var e *Entry
		if err == nil {
			e, err = f.entry(now)
		}
		switch {
		case err != nil:
			invalid++
		case !b.wanted(&e.Addr), b.isSecret(e.Addr.ID):
			b.unsaved.changed = true
		case now.Sub(e.Seen) > maxAge:
			expired++
		default:
			if b.entry(&e.Addr) == nil {
				b.entries[e.Addr.ID] = append(b.entries[e.Addr.ID], e)
			}
			b.fillPeer(&f, e.Addr.ID)
			b.unsaved.changed = b.unsaved.changed || b.isSecret(e.Source)
		}
	}
	b.trim()
	b.unsaved.renewed = false
	if invalid+expired > 0 {
		b.unsaved.changed = true
		b.logger.Warn("entries of the address book dropped",
			"file", b.path, "invalid", invalid, "expired", expired, "kept", b.size())
	}
}

// fillPeer takes what a file says of a peer beside its address.
func (b *Book) fillPeer(f *fileEntry, id types.ID) {
	if types.IDFromPublicKey(f.Key) == id {
		b.peer(id).key = f.Key
	}
	if f.Stack == types.StackNative || f.Stack == types.StackLibp2p {
		b.peer(id).stack = f.Stack
	}
}

// entry returns what the file says of an address, or an error if that cannot be dialed.
// An address without time, or from the future, was seen now.
func (f *fileEntry) entry(now time.Time) (*Entry, error) {
	addr, err := types.ParseNetAddress(f.Addr)
	if err != nil {
		return nil, err
	}
	if !addr.Dialable() {
		return nil, fmt.Errorf("address cannot be dialed: %s", addr)
	}
	addr.ID = addr.ID.Canonical() // private peers are named so
	e := newEntry(addr, now)
	if f.LastSeen > 0 {
		e.Seen = past(f.LastSeen, now)
	}
	if f.LastConnected > 0 {
		e.Answered = past(f.LastConnected, now)
		e.Advertised, e.Anchor = f.Advertised, f.Anchor
		if e.Answered.After(e.Seen) {
			e.Seen = e.Answered
		}
	}
	if e.Failures = min(max(f.Failures, 0), maxFailures); e.Failures > 0 && f.Failing > 0 {
		e.failing = past(f.Failing, now)
	}
	if f.Source.Validate() == nil {
		e.Source = f.Source
	}
	if prefix, err := netip.ParsePrefix(f.SourceGroup); err == nil {
		e.group = prefix.String()
	}

	return e, nil
}

// past is the Unix time, but not later than now.
func past(unix int64, now time.Time) time.Time {
	if unix >= now.Unix() {
		return now
	}

	return time.Unix(unix, 0)
}

// Save writes the book to its file if it has changed, or if times alone have and
// the file is 10 minutes old. It blocks until the disk has it. After an error the
// next call tries again.
func (b *Book) Save() error {
	return b.save((*unsaved).due)
}

// Flush is Save for every change.
func (b *Book) Flush() error {
	return b.save(func(u *unsaved, _ time.Time) bool { return u.changed || u.renewed })
}

// DefaultSaveInterval is the least time between two saves of a running node: what a crash
// loses is soon learned again.
const DefaultSaveInterval = 30 * time.Second

// KeepSaved calls before and Save in each interval until ctx ends. Errors go to failed. Several
// parts of a node may keep the same book.
func (b *Book) KeepSaved(ctx context.Context, interval time.Duration, before func(), failed func(error)) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		before()
		if err := b.Save(); err != nil {
			failed(err)
		}
	}
}

func (b *Book) save(due func(*unsaved, time.Time) bool) error {
	if b.path == "" {
		return nil
	}
	b.saving.Lock()
	defer b.saving.Unlock()
	raw, before, err := b.snapshot(due)
	if raw == nil || err != nil {
		return err
	}
	if err := atomicfile.Write(b.path, raw, fileMode); err != nil {
		b.mtx.Lock()
		defer b.mtx.Unlock()
		b.unsaved.changed = b.unsaved.changed || before.changed
		b.unsaved.renewed = b.unsaved.renewed || before.renewed
		b.unsaved.saved = before.saved

		return fmt.Errorf("save address book %s: %w", filepath.Clean(b.path), err)
	}

	return nil
}

// snapshot returns the file if it is due, else nil, and what was not saved, which
// then counts as saved.
func (b *Book) snapshot(due func(*unsaved, time.Time) bool) ([]byte, unsaved, error) {
	b.mtx.Lock()
	defer b.mtx.Unlock()
	now, before := time.Now(), b.unsaved
	if !due(&b.unsaved, now) {
		return nil, before, nil
	}
	file := bookFile{Peers: make([]json.RawMessage, 0, len(b.entries))}
	for _, e := range b.sorted() {
		if b.isSecret(e.Addr.ID) {
			continue
		}
		text, err := json.Marshal(b.forFile(e))
		if err != nil {
			return nil, before, err
		}
		file.Peers = append(file.Peers, text)
	}
	raw, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		return nil, before, err
	}
	b.unsaved = unsaved{saved: now}

	return append(raw, '\n'), before, nil
}

// isSecret reports whether the file must not have the peer. The caller holds the lock.
func (b *Book) isSecret(id types.ID) bool {
	_, private := b.private[id]
	_, secret := b.secret[id]

	return private || secret
}

// forFile returns the line of an address. The caller holds the lock.
func (b *Book) forFile(e *Entry) fileEntry {
	f := fileEntry{
		Addr:       e.key,
		LastSeen:   e.Seen.Unix(),
		Advertised: e.Advertised,
		Anchor:     e.Anchor,
		Failures:   e.Failures,
	}
	if !b.isSecret(e.Source) {
		f.Source, f.SourceGroup = e.Source, e.group
	}
	if e.HasAnswered() {
		f.LastConnected = e.Answered.Unix()
	}
	if !e.failing.IsZero() {
		f.Failing = e.failing.Unix()
	}
	if p := b.peers[e.Addr.ID]; p != nil {
		f.Key, f.Stack = p.key, p.stack
	}

	return f
}
