package compattest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// promiseCase is a promise of a suite: the name of its subtest, and the subtest.
type promiseCase struct {
	name string
	f    func(t *testing.T)
}

// runPromises runs a suite. It fails when an exemption names no promise of the suite or
// gives no reason, so that stale exemptions are found.
func runPromises(t *testing.T, exemptions []Exemption, cases []promiseCase) {
	t.Helper()
	if err := checkExemptions(exemptions, cases); err != nil {
		t.Error(err)
	}
	for _, c := range cases {
		promise(t, exemptions, c.name, c.f)
	}
}

// checkExemptions returns an error for each exemption without a promise or a reason.
func checkExemptions(exemptions []Exemption, cases []promiseCase) error {
	var errs []error
	for _, e := range exemptions {
		if !slices.ContainsFunc(cases, func(c promiseCase) bool { return c.name == e.Promise }) {
			errs = append(errs, fmt.Errorf("exemption %q names no promise of the suite", e.Promise))
		}
		if e.Why == "" {
			errs = append(errs, fmt.Errorf("exemption %q gives no reason", e.Promise))
		}
	}

	return errors.Join(errs...)
}

// promise runs f as a subtest, or skips it with the reason when it is exempted.
func promise(t *testing.T, exemptions []Exemption, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		for _, e := range exemptions {
			if e.Promise == name {
				t.Skipf("exempted: %s", e.Why)
			}
		}
		f(t)
	})
}
