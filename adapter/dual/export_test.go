package dual

import "time"

// WithQuiet replaces minQuiet.
func WithQuiet(d time.Duration) Option { return func(o *options) { o.quiet = d } }
