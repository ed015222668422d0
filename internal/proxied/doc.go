// Package proxied takes connections from proxies that name the client by the PROXY
// protocol, version 1 or 2 (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt).
package proxied
