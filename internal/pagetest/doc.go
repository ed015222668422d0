// Package pagetest lets tests check pages of docs/: that the tests which a page names
// as proof exist, and that it lists what it has to list. So no statement outlives what
// shows it. Only tests import it.
package pagetest
