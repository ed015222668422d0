package types

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/semver"
)

// maxListed bounds how many items of a remote's lists an error text shows.
const maxListed = 16

// ErrIncompatibleVersions is returned, wrapped, for version sets that do not fit.
var ErrIncompatibleVersions = errors.New("incompatible version sets")

// VersionInfo is the version of one protocol that a node speaks.
type VersionInfo struct {
	Name     string // abci, app, bft, blockchain, p2p
	Version  string // semantic version with leading v; anything else has an empty major
	Optional bool   // peers need not have it
}

// VersionSet lists the protocols that a node speaks. If several entries have one name, the
// last counts.
type VersionSet []VersionInfo

// Get returns the entry with the given name.
func (vs VersionSet) Get(name string) (VersionInfo, bool) {
	for _, v := range slices.Backward(vs) {
		if v.Name == name {
			return v, true
		}
	}

	return VersionInfo{}, false
}

// Set replaces the entry of the same name, or adds one and sorts the set.
func (vs *VersionSet) Set(v VersionInfo) {
	for i, old := range slices.Backward(*vs) {
		if old.Name == v.Name {
			(*vs)[i] = v

			return
		}
	}

	*vs = append(*vs, v)
	vs.Sort()
}

// Sort orders the set by name, in place; entries with one name keep their order.
func (vs VersionSet) Sort() {
	slices.SortStableFunc(vs, func(a, b VersionInfo) int { return strings.Compare(a.Name, b.Name) })
}

// CompatibleWith compares with the set of a peer (docs/wire.md §4.3). Each side must have
// what the other does not call optional, and major versions must be equal. Versions that are
// not semantic versions have the empty major, so they equal each other. It returns the
// protocols that both have, sorted by name, with the lower major.minor version of both. The
// error wraps [ErrIncompatibleVersions] and names the differences.
func (vs VersionSet) CompatibleWith(other VersionSet) (common VersionSet, err error) {
	ours, theirs := vs.byName(), other.byName()
	var differ []string
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		our := ours[name]
		their, ok := theirs[name]
		switch {
		case !ok && our.Optional:
		case !ok:
			differ = append(differ, fmt.Sprintf("%s: ours %s, theirs missing", quote(name), quote(our.Version)))
		case semver.Major(our.Version) != semver.Major(their.Version):
			differ = append(differ, fmt.Sprintf("%s: ours %s, theirs %s", quote(name), quote(our.Version), quote(their.Version)))
		default:
			common = append(common, VersionInfo{
				Name:     name,
				Version:  lowerMinor(our.Version, their.Version),
				Optional: our.Optional && their.Optional,
			})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		if _, ok := ours[name]; !ok && !theirs[name].Optional {
			differ = append(differ, fmt.Sprintf("%s: ours missing, theirs %s", quote(name), quote(theirs[name].Version)))
		}
	}
	if len(differ) > 0 {
		listed := differ[:min(len(differ), maxListed)]

		return nil, fmt.Errorf("%w: %s", ErrIncompatibleVersions, strings.Join(listed, "; "))
	}

	return common, nil
}

func (vs VersionSet) byName() map[string]VersionInfo {
	byName := make(map[string]VersionInfo, len(vs))
	for _, v := range vs {
		byName[v.Name] = v
	}

	return byName
}

func lowerMinor(a, b string) string {
	a, b = semver.MajorMinor(a), semver.MajorMinor(b)
	if semver.Compare(a, b) > 0 {
		return b
	}

	return a
}

// quote returns s in quotes, shortened: it may come from a remote.
func quote(s string) string {
	const maxShown = 64

	if len(s) > maxShown {
		return fmt.Sprintf("%q...", s[:maxShown])
	}

	return fmt.Sprintf("%q", s)
}
