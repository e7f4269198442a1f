// Package dotmeshtest holds fakes of the root package's Store and Registry and of the
// server's Mounter, and the conformance suites of Store, Streams, Registry and Service. A
// fake passes the same suite as the real implementation, so a test that uses a fake relies
// on nothing that the real one lacks. The Service in memory is package democluster.
package dotmeshtest
