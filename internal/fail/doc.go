// Package fail lets a test stop the program at a named place.
//
// A place is marked by if err := fail.Point("btrfs.snapshot.before-ioctl"); err != nil.
// In an ordinary build Point is an empty function that the compiler removes. Built with
// the tag failpoints, the environment says what happens where:
//
//	DOTMESH_FAILPOINTS=btrfs.snapshot.before-ioctl=kill@3;btrfs.fork.after-ioctl=sleep:5ms
//	DOTMESH_FAILPOINTS_LOG=/tmp/points
//
// The actions are kill (SIGKILL to this process, as a crash is), error, panic, hang (for
// ever) and sleep:DURATION. With @N the action is taken at the Nth time that the point is
// reached and at no other; without it, every time. The log gets one line for each time
// that any point is reached, so that a test can list the points it never came by.
package fail
