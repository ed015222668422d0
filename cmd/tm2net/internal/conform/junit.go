package conform

import (
	"encoding/xml"
	"fmt"
	"io"
)

// The elements of a JUnit report, as CI servers read it.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitMessage `xml:"failure"`
		Error   *junitMessage `xml:"error"`
		Skipped *junitMessage `xml:"skipped"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes the reports as JUnit XML, with one suite for each role and section. A
// deviation that is not known is a failure, the end of the node as well, a situation that could not be made an error.
func WriteJUnit(w io.Writer, reports ...*Report) error {
	var all junitSuites
	for _, r := range reports {
		places := make(map[string]int)
		for _, one := range r.Results {
			name := fmt.Sprintf("%s.%s", r.Role, one.Section)
			at, ok := places[name]
			if !ok {
				at = len(all.Suites)
				places[name] = at
				all.Suites = append(all.Suites, junitSuite{Name: name})
			}
			all.Suites[at].add(one)
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")

	return err
}

func (s *junitSuite) add(r Result) {
	c := junitCase{Class: s.Name, Name: fmt.Sprintf("%s %s: %s", r.Number, r.ID, r.Title)}
	s.Tests++
	switch r.Status {
	case Deviates:
		s.Failures++
		c.Failure = &junitMessage{fmt.Sprintf("%s, %s: expected: %s; seen: %s", r.Level, r.Spec, r.Expected(), r.Seen)}
	case Ended:
		s.Failures++
		c.Failure = &junitMessage{r.Reason}
	case Failed:
		s.Errors++
		c.Error = &junitMessage{r.Reason}
	case Skipped:
		s.Skipped++
		c.Skipped = &junitMessage{r.Reason}
	case AsKnown, Gone:
		c.Output = fmt.Sprintf("%s: expected: %s; seen: %s; %s", r.Status, r.Expected(), r.Seen, r.Reason)
	case Conforms:
	}
	s.Cases = append(s.Cases, c)
}
