// Package fail lets a test stop the program at a named place.
//
// A place is marked by if err := fail.Point("btrfs.snapshot.before-ioctl"); err != nil.
// In an ordinary build Point is an empty function that the compiler removes. Built with
// the tag failpoints, the environment says what happens where:
//
//	DOTMESH_FAILPOINTS=btrfs.snapshot.before-ioctl=kill@3;btrfs.fork.after-ioctl=sleep:5ms
//	DOTMESH_FAILPOINTS_LOG=/tmp/points
//	DOTMESH_FAILPOINTS_AHEAD=744h
//
// The actions are kill (SIGKILL to this process, as a crash is), error, panic, hang (for
// ever), sleep:DURATION and wait:FILE (until there is such a file). With @N the action is
// taken at the Nth time that the point is reached and at no other; without it, every
// time. The name * stands for every point that has no action of its own. The log gets one line for each time that any point is reached, so that a test can
// list the points it never came by.
//
// DOTMESH_FAILPOINTS=@FILE takes all that from a file, which is read whenever a point is
// reached: so a test arms a process that runs. Counting begins anew when the file's text
// has changed. A file that is replaced must be replaced in one step.
//
// DOTMESH_FAILPOINTS_AHEAD sets the program's clock, which is [Now], ahead.
package fail
