package tomlvalue

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/tm2-libp2p/tm2-libp2p/compat/types"
)

// maxLookups is how many host names are looked up at a time.
const maxLookups = 16

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

// IDs reads a list of IDs, in any form that types.ParseID reads. It returns the valid ones
// in order, and joins a *FieldError with the key for each of the others.
func IDs(key, list string) (ids []types.ID, err error) {
	for _, entry := range SplitList(list) {
		id, invalid := types.ParseID(entry)
		if invalid != nil {
			err = errors.Join(err, &FieldError{key, entry, "it is not a TM2 ID: " + invalid.Error()})

			continue
		}
		ids = append(ids, id)
	}

	return ids, err
}

// Peers reads a list of peers, each as ID@host:port. It returns the usable ones in order,
// and joins a *FieldError with the key for each of the others. It looks up host names, 16
// at a time and each within 3 s; a name that does not resolve is kept, since it is resolved
// again at each dial.
func Peers(key, list string) ([]*types.NetAddress, error) {
	entries := SplitList(list)
	addrs, failures := make([]*types.NetAddress, len(entries)), make([]error, len(entries))
	var group errgroup.Group
	group.SetLimit(maxLookups)
	for i, entry := range entries {
		group.Go(func() error {
			_, err := CheckPeer(entry)
			if err == nil {
				addrs[i], err = types.NewConfiguredNetAddress(entry)
			}
			if err != nil {
				failures[i] = &FieldError{key, entry, err.Error()}
			}

			return nil
		})
	}
	_ = group.Wait() // the functions report through failures

	return slices.DeleteFunc(addrs, func(addr *types.NetAddress) bool { return addr == nil }), errors.Join(failures...)
}

// CheckPeer checks that a peer has the form ID@host:port, perhaps with tcp:// in front, and
// can be dialed. It returns the ID, and does not resolve the host.
func CheckPeer(peer string) (types.ID, error) {
	addr, err := types.ParseNetAddress(peer)
	if err == nil {
		err = addr.Validate()
	}
	if err != nil && !errors.Is(err, types.ErrHostnameNotIP) {
		return "", fmt.Errorf("it must be ID@host:port: %w", err)
	}
	scheme, rest, found := strings.Cut(peer, "://")
	if !found {
		rest = peer
	} else if scheme != "tcp" {
		return "", errors.New("only tcp:// is supported")
	}
	id, hostPort, _ := strings.Cut(rest, "@")
	if _, port, err := SplitAddress(hostPort); err == nil && port == 0 {
		return "", errors.New("port 0 cannot be dialed")
	}

	return types.ParseID(id)
}

// Repeated returns the first peer of a list that has the ID of an earlier one, or the empty
// string. It skips entries that CheckPeer refuses.
func Repeated(list string) string {
	seen := make(map[types.ID]bool)
	for _, peer := range SplitList(list) {
		id, err := CheckPeer(peer)
		if err == nil && seen[id] {
			return peer
		}
		seen[id] = true
	}

	return ""
}
