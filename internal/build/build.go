// Package build says which version of Dotmesh a program is.
package build

import "runtime/debug"

// version is written by the linker, as the Makefile tells it, and by nothing else.
var version string

// Version returns what git called the source when the program was built, such as
// "v1.2.0-3-gabc1234". A program that was not built by make has what Go knows of it: its
// module's version, or "(devel)".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
