//go:build linux

package zfs

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// said is what OpenZFS 2.1.11 wrote, word for word, and what it is taken for.
var said = []struct {
	stderr string
	why    cause
	kind   dotmesh.Kind
}{
	{"cannot open 'p/nope': dataset does not exist\n", notExist, dotmesh.NotFound},
	{"cannot open 'p/nope': dataset does not exist\nusage:\n\tsnapshot [-r] [-o property=value] ... <filesystem|volume>@<snap> ...\n", notExist, dotmesh.NotFound},
	{"could not find any snapshots to destroy; check snapshot names.\n", notExist, dotmesh.NotFound},
	{"cannot release hold from snapshot 'p/c@z': no such tag on this dataset\n", notExist, dotmesh.NotFound},
	{"cannot open 'nope': no such pool\n", noPool, dotmesh.NotFound},
	{"cannot import '123': no such pool available\n", noPool, dotmesh.NotFound},
	{"cannot create 'p/a': dataset already exists\n", exists, dotmesh.Exists},
	{"cannot create snapshot 'p/a@x': dataset already exists\nno snapshots were created\n", exists, dotmesh.Exists},
	{"cannot restore to p/r@s2: destination already exists\n", exists, dotmesh.Exists},
	{"cannot receive new filesystem stream: destination 'p/a' exists\nmust specify -F to overwrite it\n", exists, dotmesh.Exists},
	{"cannot destroy snapshot p/c@z: dataset is busy\n", busy, dotmesh.Busy},
	{"cannot unmount '/tmp/n': pool or dataset is busy\n", busy, dotmesh.Busy},
	{"cannot create snapshot 'p/dotmesh/r@q': dataset is busy\n", busy, dotmesh.Busy},
	{"cannot destroy 'p/a@x': snapshot has dependent clones\nuse '-R' to destroy the following datasets:\np/c\n", hasClones, dotmesh.Busy},
	{"cannot destroy 'p/a': filesystem has children\nuse '-r' to destroy the following datasets:\np/a@x\n", hasClones, dotmesh.Busy},
	{"cannot rollback to 'p/c@y': more recent snapshots or bookmarks exist\nuse '-r' to force deletion of the following snapshots and bookmarks:\np/c@z\n", newerThere, dotmesh.Conflict},
	{"cannot receive incremental stream: destination p/dotmesh/r has been modified\nsince most recent snapshot\n", modified, dotmesh.Diverged},
	{"cannot receive incremental stream: most recent snapshot of p/r does not\nmatch incremental source\n", otherTip, dotmesh.Diverged},
	{
		"cannot receive incremental stream: destination p/dotmesh/r contains partially-complete state from \"zfs receive -s\".\n",
		resumable, dotmesh.Busy,
	},
	{"'p/r' does not have any resumable receive state to abort\n", notResumable, dotmesh.Internal},
	{
		"cannot receive new filesystem stream: checksum mismatch or incomplete stream.\nPartially received snapshot is saved.\n" +
			"A resuming stream can be generated on the sending system by running:\n    zfs send -t 1-c63da56d0-e8-789c63\n",
		incomplete, dotmesh.Unreachable,
	},
	{"cannot receive incremental stream: incomplete stream\n", incomplete, dotmesh.Unreachable},
	{"cannot receive: failed to read from stream\n", incomplete, dotmesh.Unreachable},
	{"cannot resume send: resume token is corrupt (incorrect checksum)\n", tokenGone, dotmesh.Conflict},
	{"cannot set property for 'p/a': size is greater than available space\n", noSpace, dotmesh.NoSpace},
	{"cannot receive new filesystem stream: destination p/dotmesh/nn space quota exceeded.\n", noSpace, dotmesh.NoSpace},
	{"Permission denied the ZFS utilities must be run as root.\n", denied, dotmesh.Denied},
	{"warning: cannot send 'testpool@snap': Input/output error\n", damaged, dotmesh.Corrupt}, // as openzfs#1897 has it
	{"invalid option 'x'\nusage:\n\tlist [-Hp] [-r|-d max] [-o property[,...]] [-s property]...\n", misused, dotmesh.Internal},
	{"cannot receive: invalid stream (bad magic number)\n", "", dotmesh.Internal},
	{"", "", dotmesh.Internal},
}

func TestWhatTheProgramsSay(t *testing.T) {
	for _, s := range said {
		t.Run(s.stderr, func(t *testing.T) {
			err := explain(syncPool("pool"), s.stderr, errors.New("exit status 1"))
			if s.why != "" && !errors.Is(err, s.why) {
				t.Errorf("it is taken for %q, want %q", causeOf(s.stderr), s.why)
			}
			err = fault("zfs.Test", fmt.Errorf("do it: %w", err))
			if dotmesh.KindOf(err) != s.kind || dotmesh.Text(err) == "" {
				t.Errorf("%v is %s, want %s", err, dotmesh.KindOf(err), s.kind)
			}
			if s.why != "" && !errors.Is(err, s.why) {
				t.Error("the cause was lost on its way")
			}
		})
	}
}

func TestEveryCauseThatUsersMeetHasItsText(t *testing.T) {
	for _, c := range complaints {
		if v := verdicts[c.why]; v.text == "" && c.why != notResumable && c.why != misused {
			t.Errorf("%q has none", c.why)
		}
	}
}

func TestOtherErrorsHaveAKind(t *testing.T) {
	for _, test := range []struct {
		err  error
		want dotmesh.Kind
	}{
		{context.Canceled, dotmesh.Canceled},
		{explain(syncPool("pool"), "cannot open 'x': dataset does not exist\n", context.DeadlineExceeded), dotmesh.Timeout},
		{unix.ENOSPC, dotmesh.NoSpace},
		{unix.EBUSY, dotmesh.Busy},
		{unix.EIO, dotmesh.Corrupt},
		{unix.EPERM, dotmesh.Denied},
		{unix.ENOENT, dotmesh.NotFound},
		{dotmesh.E("", dotmesh.Diverged, "x"), dotmesh.Diverged},
		{errors.New("something"), dotmesh.Internal},
	} {
		if got := dotmesh.KindOf(fault("zfs.Test", test.err)); got != test.want {
			t.Errorf("%v is %s, want %s", test.err, got, test.want)
		}
	}
	if fault("zfs.Test", nil) != nil {
		t.Error("nothing is a failure")
	}
}
