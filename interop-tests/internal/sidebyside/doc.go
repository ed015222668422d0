// Package sidebyside runs tests beside each other that wait most of their time: for timers
// of other implementations, for rate limits, and for other processes.
//
//	func TestMain(m *testing.M) {
//		err := sidebyside.Limit(8)
//		...
//	}
//
//	func TestSomething(t *testing.T) {
//		t.Parallel()
//		goroutines := sidebyside.Track(t)
//		...
//		require.NoError(t, goroutines.Await(time.Minute)) // all have ended
//	}
package sidebyside
