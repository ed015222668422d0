package conform

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Level says how much it matters that a node behaves as a case expects.
type Level string

// The levels, from the gravest.
const (
	// Must is what peers rely on, and what keeps strangers from passing for a peer.
	Must Level = "must"
	// Should is what protects a node: deadlines, limits, and checks of what a peer says of itself.
	Should Level = "should"
	// Strict is what this project does beyond that: it refuses what no TM2 node sends.
	Strict Level = "strict"
)

// Levels returns all levels, the gravest first.
func Levels() []Level { return []Level{Must, Should, Strict} }

// Role is what the conformance program does when a connection begins.
type Role string

// The roles.
const (
	Dialing   Role = "dialing"
	Listening Role = "listening"
)

// Outcome is what a node does in the situation of a case.
type Outcome string

// The outcomes. A case expects one of the first two.
const (
	Accepts   Outcome = "accepts"   // the node goes on, or answers as the case says
	Ends      Outcome = "ends"      // the node ends the connection or stream, or refuses with a reason
	Silent    Outcome = "silent"    // the node neither answers nor ends it in time
	Malformed Outcome = "malformed" // the node sends what no node should
	Differs   Outcome = "differs"   // the node answers otherwise than the case says
	OtherCode Outcome = "code"      // the node ends it with another code than the case says, or without one
)

// Seen is what a node did.
type Seen struct {
	Outcome Outcome       `json:"outcome"`
	Detail  string        `json:"detail,omitempty"`
	Code    *uint64       `json:"code,omitempty"`     // with which the node has refused or ended it
	After   time.Duration `json:"after_ns,omitempty"` // from the begin of the situation
}

func (s Seen) String() string {
	if s.Detail == "" {
		return string(s.Outcome)
	}

	return fmt.Sprintf("%s: %s", s.Outcome, s.Detail)
}

// Case is one situation.
type Case struct {
	Section string // as in --section
	Name    string // unique in the section; known deviations refer to Section.Name
	Title   string // the situation
	Spec    string // page and section that says what the node does
	Level   Level
	Want    Outcome
	// Code is the code with which the node has to end it, nil for any or none.
	Code  *Code
	Roles []Role // nil for Dialing alone
	// Slow cases wait for timers of the node for more than 10 s.
	Slow bool
	// Alone is set for a case that takes what others need: it is played after them.
	Alone bool
	// Risky is why a released version does not survive the case: the whole process ends.
	Risky string
	// Needs tells why a target cannot be judged by the case, or "".
	Needs func(*Target) string
	// Play makes the situation once. An error means that the situation could not be made.
	Play func(context.Context, *Target) (Seen, error)
}

// Code is what a node tells when it ends something (docs/sessions.md §9).
type Code struct {
	Number uint64
	Level  Level // how much it matters that the code is this one
	// AtBridge is the number that a bridge tells instead, which only passes on how its other side has
	// refused; 0 for the same.
	AtBridge uint64
}

// judgeCode returns what was seen, as OtherCode if the node has ended it without the code that is due.
func (c Case) judgeCode(t *Target, seen Seen) Seen {
	if c.Code == nil || seen.Outcome != Ends {
		return seen
	}
	due := c.Code.Number
	if t.Bridge && c.Code.AtBridge != 0 {
		due = c.Code.AtBridge
	}
	if seen.Code == nil || *seen.Code != due {
		seen.Outcome, seen.Detail = OtherCode, fmt.Sprintf("it does not tell code %d: %s", due, seen.Detail)
	}

	return seen
}

// ID names the case.
func (c Case) ID() string { return c.Section + "." + c.Name }

// In reports whether the case is played in the role.
func (c Case) In(r Role) bool {
	if len(c.Roles) == 0 {
		return r == Dialing
	}

	return slices.Contains(c.Roles, r)
}

// Catalog is a list of cases in the order of their sections.
type Catalog []Case

// Sections returns the sections in their order.
func (c Catalog) Sections() []string {
	var names []string
	for _, one := range c {
		if !slices.Contains(names, one.Section) {
			names = append(names, one.Section)
		}
	}

	return names
}

// Number returns the number of a case: that of its section and its place there, as in 2.7.
func (c Catalog) Number(id string) string {
	place := make(map[string]int)
	for _, one := range c {
		place[one.Section]++
		if one.ID() == id {
			return fmt.Sprintf("%d.%d", slices.Index(c.Sections(), one.Section)+1, place[one.Section])
		}
	}

	return ""
}
