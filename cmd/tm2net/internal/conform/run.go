package conform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Suite is the cases for one stack.
type Suite struct {
	Stack string
	Cases Catalog
	// Honest connects a well-formed peer and returns an error unless the node accepts it.
	Honest func(context.Context, *Target) error
}

// Options choose what is played and how. The zero value plays the levels must and should,
// without risky cases.
type Options struct {
	Sections []string // all when empty
	Strict   bool     // the level strict, too
	Quick    bool     // without slow cases
	Risky    bool     // also cases that a released version does not survive
	Known    *Known   // what the node is known for; nil for nothing
	// Conns is how many cases are played at a time, 4 when 0. In the listening role it is all.
	Conns int
	// Listener is where the node dials in the listening role.
	Listener *Listener
	// Progress is told of each result, one at a time. It may be nil.
	Progress func(Result)
}

const (
	defaultConns = 4
	// slowConns is how many slow cases wait at a time, beside the others.
	slowConns = 8
	// recovery is how long a node that was just given malformed input has to accept a
	// well-formed peer again.
	recovery = 30 * time.Second
	// recoveryPause is between two attempts.
	recoveryPause = time.Second
)

// ErrNotHonest says that the node does not accept a well-formed peer, so that nothing can be
// said about the cases.
var ErrNotHonest = errors.New("the node does not accept a well-formed peer")

// Run plays the cases of the suites against the target. It returns what it has seen, also
// beside an error.
func Run(ctx context.Context, t *Target, suites []Suite, o Options) (*Report, error) {
	r := &runner{target: t, options: o, report: &Report{Target: t.Addr.String(), ID: t.ID.String(), Role: t.Role}}
	for _, s := range suites {
		r.catalog = append(r.catalog, s.Cases...)
	}
	begun := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t.dialer.life.start(cancel)
	var err error
	for _, s := range suites {
		if err = r.suite(ctx, s); err != nil {
			break
		}
	}
	err = r.afterEnds(context.Cause(ctx), err)
	r.report.finish(r.catalog, time.Since(begun))

	return r.report, err
}

// afterEnds takes back what was seen of a node that had ended meanwhile. cause is why the run has ended,
// if it has.
func (r *runner) afterEnds(cause, err error) error {
	for _, l := range r.target.dialer.life.lost {
		r.takeBack(l.cases, Failed, fmt.Sprintf("the node refused connections for %s while this was played", l.away.Round(time.Second)))
	}
	var ended *EndedError
	if !errors.As(cause, &ended) {
		return err
	}
	r.report.Ended = ended.Cases
	r.takeBack(ended.Cases, Ended, "the node ended while this was played")
	for _, c := range r.catalog {
		if r.awaits(c) {
			r.add(Result{CaseInfo: Describe(c), Status: Skipped, Reason: ErrNodeEnded.Error()})
		}
	}

	return ended
}

// takeBack gives the results of cases another status.
func (r *runner) takeBack(cases []string, status Status, why string) {
	for i := range r.report.Results {
		if one := &r.report.Results[i]; slices.Contains(cases, one.ID) {
			one.Status, one.Reason = status, why
			r.tell(*one)
		}
	}
}

// awaits reports whether a case that was chosen has no result.
func (r *runner) awaits(c Case) bool {
	return r.wants(c) && !slices.ContainsFunc(r.report.Results, func(one Result) bool { return one.ID == c.ID() })
}

type runner struct {
	target  *Target
	options Options
	catalog Catalog

	mtx    sync.Mutex
	report *Report
}

// suite plays a suite section by section. Slow cases wait beside all of them.
func (r *runner) suite(ctx context.Context, s Suite) error {
	chosen := r.chosen(s)
	if len(chosen) == 0 {
		return nil
	}
	if r.target.Role == Listening {
		return r.listen(ctx, s, chosen)
	}
	if err := r.honest(ctx, s); err != nil {
		return err
	}
	var slow, quick, alone Catalog
	for _, c := range chosen {
		switch {
		case c.Alone:
			alone = append(alone, c)
		case c.Slow:
			slow = append(slow, c)
		default:
			quick = append(quick, c)
		}
	}
	var beside sync.WaitGroup
	if r.target.OneConn {
		quick = append(quick, slow...)
	} else {
		beside.Go(func() { r.play(ctx, s, slow, slowConns) })
	}
	err := r.sections(ctx, s, quick)
	beside.Wait()
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && len(slow) > 0 {
		err = r.honest(ctx, s)
	}
	for i := 0; err == nil && i < len(alone); i++ {
		r.play(ctx, s, alone[i:i+1], 1)
		err = r.honest(ctx, s)
	}

	return err
}

// listen plays all cases at a time: each begins when the node dials it.
func (r *runner) listen(ctx context.Context, s Suite, cases Catalog) error {
	places, err := r.options.Listener.reserve(len(cases))
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for i, c := range cases {
		wg.Go(func() { r.add(r.judge(ctx, s, c, r.target.at(places[i]))) })
	}
	looks, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { r.target.dialer.life.watch(looks, r.target) })
	wg.Wait()
	stop()
	watch.Wait()

	return errors.Join(closeAll(places), ctx.Err())
}

func (r *runner) sections(ctx context.Context, s Suite, cases Catalog) error {
	for _, name := range cases.Sections() {
		section := slices.DeleteFunc(slices.Clone(cases), func(c Case) bool { return c.Section != name })
		r.play(ctx, s, section, r.conns())
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.honest(ctx, s); err != nil {
			return fmt.Errorf("after section %s: %w", name, err)
		}
	}

	return nil
}

func (r *runner) conns() int {
	switch {
	case r.target.OneConn:
		return 1
	case r.options.Conns > 0:
		return r.options.Conns
	default:
		return defaultConns
	}
}

// chosen returns the cases of the suite that the options choose, and reports the others of the
// chosen sections as skipped.
func (r *runner) chosen(s Suite) (chosen Catalog) {
	for _, c := range s.Cases {
		if !r.wants(c) {
			continue
		}
		if why := r.skip(c); why != "" {
			r.add(Result{CaseInfo: Describe(c), Status: Skipped, Reason: why})
		} else {
			chosen = append(chosen, c)
		}
	}

	return chosen
}

// wants reports whether a case is in a section that the options choose, and in the role.
func (r *runner) wants(c Case) bool {
	return (len(r.options.Sections) == 0 || slices.Contains(r.options.Sections, c.Section)) && c.In(r.target.Role)
}

func (r *runner) skip(c Case) string {
	switch {
	case c.Level == Strict && !r.options.Strict:
		return "only with --strict"
	case c.Slow && r.options.Quick:
		return "not with --quick"
	case c.Risky != "" && !r.options.Risky:
		return "only with --risky: " + c.Risky
	case c.Needs != nil:
		return c.Needs(r.target)
	default:
		return ""
	}
}

// play plays cases, so many at a time.
func (r *runner) play(ctx context.Context, s Suite, cases Catalog, conns int) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, conns)
	for _, c := range cases {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			r.add(r.judge(ctx, s, c, r.target))
		})
	}
	wg.Wait()
}

// judge plays a case, and a second time if the node seems to deviate in a way that is not known, or not to
// deviate where it is known to: a node that is busy for a moment ends what it would accept. What was seen once counts if the second time
// does not come about, but for a run that ends meanwhile: that ends the connections of its cases, so that
// nothing seen then is what the node does.
func (r *runner) judge(ctx context.Context, s Suite, c Case, t *Target) Result {
	seen, err := r.once(ctx, c, t)
	if (err != nil || r.surprises(c, seen)) && ctx.Err() == nil && r.honest(ctx, s) == nil {
		again, e := r.once(ctx, c, t)
		switch {
		case e == nil:
			seen, err = again, nil
		case err != nil:
			err = errors.Join(err, e)
		}
	}
	if ctx.Err() != nil {
		return Result{CaseInfo: Describe(c), Status: Skipped, Reason: whyEnded(ctx)}
	}
	result := Result{CaseInfo: Describe(c), Seen: seen}
	if err != nil {
		result.Status, result.Reason = Failed, err.Error()

		return result
	}
	result.Status, result.Reason = r.options.Known.judge(c, r.target.Role, seen)
	if seen.Outcome == OtherCode {
		result.Level = c.Code.Level
	}

	return result
}

// whyEnded tells why a run has ended before a case was played.
func whyEnded(ctx context.Context) string {
	if errors.Is(context.Cause(ctx), ErrNodeEnded) {
		return ErrNodeEnded.Error()
	}

	return "the run was interrupted"
}

// once plays a case one time.
func (r *runner) once(ctx context.Context, c Case, t *Target) (Seen, error) {
	p := t.dialer.life.begin(c)
	defer t.dialer.life.finish(p)

	seen, err := c.Play(ctx, t.during(p))

	return c.judgeCode(t, seen), err
}

// surprises reports whether the node has not done what it is known for or, if it is known for nothing, what is
// expected.
func (r *runner) surprises(c Case, seen Seen) bool {
	if known := r.options.Known.find(c.ID(), r.target.Role); known != nil {
		return known.Outcome != seen.Outcome
	}

	return seen.Outcome != c.Want
}

// honest returns nil once the node accepts a well-formed peer. In the listening role the node
// chooses when it dials, and each case begins with a well-formed part.
func (r *runner) honest(ctx context.Context, s Suite) error {
	if r.target.Role == Listening {
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	for {
		err := s.Honest(ctx, r.target)
		if err == nil {
			return nil
		}
		if Pause(ctx, recoveryPause) != nil {
			return fmt.Errorf("%w: %w", ErrNotHonest, err)
		}
	}
}

func (r *runner) add(result Result) {
	r.mtx.Lock()
	defer r.mtx.Unlock()
	result.Number = r.catalog.Number(result.ID)
	r.report.Results = append(r.report.Results, result)
	r.tell(result)
}

func (r *runner) tell(result Result) {
	if r.options.Progress != nil {
		r.options.Progress(result)
	}
}
