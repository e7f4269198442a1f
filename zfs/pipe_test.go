//go:build linux

package zfs

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAWriteIntoAFullPipeEndsWithIt is about a zfs receive that has stopped reading: the
// call that feeds it ends all the same.
func TestAWriteIntoAFullPipeEndsWithIt(t *testing.T) {
	in, out, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		_, err := out.Write(make([]byte, 2*pipeSize))
		written <- err
	}()
	full, err := in.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for holds := 0; holds < pipeSize; runtime.Gosched() {
		if controlErr := full.Control(func(fd uintptr) { holds, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }); errors.Join(controlErr, err) != nil {
			t.Fatal(controlErr, err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-written; !errors.Is(err, os.ErrClosed) {
		t.Errorf("err = %v", err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
}
