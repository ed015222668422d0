package conform

import (
	"cmp"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/tm2-libp2p/tm2-libp2p/cmd/internal/cli"
)

// Known is what a released version is known to do otherwise than the cases expect.
type Known struct {
	Version    string      `json:"version"`
	Deviations []Deviation `json:"deviations"`
}

// Deviation is one known deviation.
type Deviation struct {
	Case    string  `json:"case"`
	Role    Role    `json:"role,omitempty"` // empty for both
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why"`
}

//go:embed known/*.json
var knownFiles embed.FS

// KnownVersions returns the versions that LoadKnown knows by name.
func KnownVersions() []string {
	files, err := fs.Glob(knownFiles, "known/*.json")
	if err != nil {
		panic(err) // the pattern is constant
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".json")
	}

	return files
}

// LoadKnown returns the deviations of a version of KnownVersions, or those in a file.
func LoadKnown(name string) (*Known, error) {
	var data []byte
	var err error
	if slices.Contains(KnownVersions(), name) {
		data, err = knownFiles.ReadFile("known/" + name + ".json")
	} else {
		data, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("known deviations: %w (a file, or one of %s)", err, strings.Join(KnownVersions(), ", "))
	}

	return parseKnown(name, data)
}

func parseKnown(name string, data []byte) (*Known, error) {
	k := &Known{}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(k); err != nil {
		return nil, fmt.Errorf("known deviations of %s: %w", name, err)
	}

	return k, nil
}

// Check returns an error for each deviation of which the catalog has no case, and for each
// without a reason.
func (k *Known) Check(c Catalog) error {
	var errs []error
	for _, d := range k.Deviations {
		if !slices.ContainsFunc(c, func(one Case) bool { return one.ID() == d.Case }) {
			errs = append(errs, fmt.Errorf("known deviations of %s: there is no case %s", k.Version, d.Case))
		}
		if d.Why == "" {
			errs = append(errs, fmt.Errorf("known deviations of %s: %s has no reason", k.Version, d.Case))
		}
	}

	return errors.Join(errs...)
}

// judge compares what was seen with what the case expects and with what is known.
func (k *Known) judge(c Case, r Role, seen Seen) (Status, string) {
	d := k.find(c.ID(), r)
	switch {
	case seen.Outcome == c.Want && d == nil:
		return Conforms, ""
	case seen.Outcome == c.Want:
		return Gone, fmt.Sprintf("%s is known to differ (%s: %s)", k.Version, d.Outcome, d.Why)
	case d != nil && d.Outcome == seen.Outcome:
		return AsKnown, d.Why
	case d != nil:
		return Deviates, fmt.Sprintf("%s is known for another outcome (%s: %s)", k.Version, d.Outcome, d.Why)
	default:
		return Deviates, ""
	}
}

func (k *Known) find(id string, r Role) *Deviation {
	if k == nil {
		return nil
	}
	for i, d := range k.Deviations {
		if d.Case == id && (d.Role == "" || d.Role == r) {
			return &k.Deviations[i]
		}
	}

	return nil
}

// Merge returns what the node of the reports is known for from now on: its deviations, with the
// reasons that are known already or else what was seen, and what is known of cases that were not played.
func (k *Known) Merge(reports ...*Report) *Known {
	merged := &Known{Version: k.Version}
	played := make(map[string]bool)
	for _, r := range reports {
		for _, one := range r.Results {
			if one.Status == Skipped || one.Status == Failed || one.Status == Ended {
				continue
			}
			played[one.ID+string(r.Role)] = true
			if one.Seen.Outcome == one.Want {
				continue
			}
			d := Deviation{Case: one.ID, Role: r.Role, Outcome: one.Seen.Outcome, Why: cmp.Or(one.Seen.Detail, "seen: "+string(one.Seen.Outcome))}
			if former := k.find(one.ID, r.Role); former != nil && former.Outcome == d.Outcome {
				d.Why = former.Why
			}
			merged.Deviations = append(merged.Deviations, d)
		}
	}
	for _, d := range k.Deviations {
		for _, role := range []Role{Dialing, Listening} {
			if (d.Role == "" || d.Role == role) && !played[d.Case+string(role)] {
				d.Role = role
				merged.Deviations = append(merged.Deviations, d)
			}
		}
	}

	return merged.joined()
}

// joined sorts the deviations and joins those that are alike in both roles.
func (k *Known) joined() *Known {
	slices.SortStableFunc(k.Deviations, func(a, b Deviation) int {
		return cmp.Or(cmp.Compare(a.Case, b.Case), cmp.Compare(a.Role, b.Role))
	})
	var list []Deviation
	for _, d := range k.Deviations {
		if n := len(list); n > 0 && list[n-1].Case == d.Case && list[n-1].Outcome == d.Outcome && list[n-1].Why == d.Why {
			list[n-1].Role = ""
		} else {
			list = append(list, d)
		}
	}
	k.Deviations = list

	return k
}

// Write writes the known deviations to a file that LoadKnown reads. Until that has succeeded the file has
// its old content.
func (k *Known) Write(path string) error {
	data, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}

	return cli.WriteFile(path, append(data, '\n'), 0o644)
}
