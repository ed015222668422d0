//go:build race

package simulation

// raceBuild leaves TestMigration to builds without the race detector. Go 1.26.8 gives all
// timers of a synctest bubble one context of the detector (runtime.(*timer).unlockAndRun), and
// crashes when two goroutines select on timers that expire at the same moment. Native
// connections in virtual time do that all the time.
const raceBuild = true
