// Package switchtest makes adapter's switches for the conformance suite of package
// compattest, on the transport of any stack. It is for the tests of the stacks.
package switchtest
