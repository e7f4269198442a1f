// Package dotmeshtest holds the fakes of the root package's interfaces and one
// conformance suite for each interface. A fake passes the same suite as the real
// implementation, so a test that uses a fake relies on nothing that the real one lacks.
package dotmeshtest
