// Package bridgehttp shows a running bridge to people and programs over HTTP.
//
//	GET  /          a page for people, without any write access
//	GET  /healthz   200 while the bridge runs and answers
//	GET  /readyz    200 while a node that dials the bridge could get a pair, else 503
//	GET  /status    a Report as JSON (docs/status.md)
//	GET  /history   the History of the last minutes and the last day as JSON
//	GET  /metrics   Prometheus (docs/metrics.md)
//	POST /control/  connect, block, unblock, forget and log, with a token only
//	GET  /debug/pprof/  only with WithPprof
//
// It is meant for a loopback address. Connections, headers, bodies and times are bounded, and
// everything that a remote node has said leaves it as JSON or as text, never as markup. A
// request whose Host is a name that the operator has not allowed gets no status and no
// control, so that no web page can reach the bridge through a browser by DNS rebinding.
package bridgehttp
