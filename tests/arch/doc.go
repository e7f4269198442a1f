// Package arch keeps the architecture true: who may import whom, what source code may not
// say, and which folders there are. Each rule carries its reason, and each kind of rule is
// tested with a planted violation, so that a rule which has stopped working is noticed.
//
// ARCHITECTURE.md tells the same as a story. A change of a rule is a change of that page.
package arch
