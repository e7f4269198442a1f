// Command demo is what make demo runs: the main job of Dotmesh, on a real database, judged
// by the database itself.
//
// It starts a node of its own in a temporary folder, with a pool in a sparse file, and
// does with dm what a person would do: SQLite writes into a dot under load, and the dot is
// committed, branched, broken, compared, reset, undone. After each change the database is
// asked for PRAGMA integrity_check and its row count, and what it says must be what the
// history says. The demo prints each command with the time it took, ends with an error at
// the first wrong answer, and leaves nothing behind either way.
//
// The pool is one of btrfs, or with -storage zfs-file one of ZFS, called "pool", on a machine
// that has it.
//
// story.go is the plot. node.go is the server's process, shell.go runs dm and prints,
// database.go is SQLite.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	storage := flag.String("storage", onBtrfs, "the kind of the pool: "+onBtrfs+" or "+onZFS)
	bin := flag.String("bin", "bin", "the folder with dm and dotmesh-server")
	flag.Parse()
	signal.Ignore(syscall.SIGPIPE) // who stops reading does not stop the cleaning up
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *storage, *bin); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo: FAILED:", err)
		os.Exit(1)
	}
}
