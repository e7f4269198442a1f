//go:build !failpoints

package fail

import "time"

// Enabled reports whether this build has failpoints.
const Enabled = false

// Point does nothing in this build.
func Point(string) error { return nil }

// Now is time.Now in this build.
func Now() time.Time { return time.Now() }
