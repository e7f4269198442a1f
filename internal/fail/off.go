//go:build !failpoints

package fail

// Enabled reports whether this build has failpoints.
const Enabled = false

// Point does nothing in this build.
func Point(string) error { return nil }
