//go:build race

package simulation

// raceBuild leaves TestMigration to builds without the race detector: that of Go 1.26.8 at
// times crashes the runtime in a synctest bubble with some thousand goroutines.
const raceBuild = true
