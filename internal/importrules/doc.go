// Package importrules holds a test that checks which package of this repository may
// import which. The rules are a table in rules_test.go; docs/architecture.md says in
// prose why they are as they are.
package importrules
