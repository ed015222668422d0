// Package cli has what the command lines of this project's programs have in common: how
// a command line runs and ends, mistakes on it, exit statuses, the version, and texts
// that are safe to print although a remote has chosen them.
package cli
