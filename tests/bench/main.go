// Command bench is what make bench runs: Dotmesh against plain tools and against its own
// musts, on this machine.
//
// Each row of its table is a promise with a number. A row that compares runs both sides
// in turn (ours, theirs, ours, theirs, …) in one run and judges the median of the ratios
// round by round, with an interval: such a row holds on a busy machine too, since what
// disturbs one side disturbs the other. The remaining rows are absolute and mean something
// only on a quiet machine, so the table says how busy it was.
//
// suite.go lists what is measured; commit.go, tree.go, stream.go, zfs.go, list.go, start.go,
// idle.go, tui.go and tuiparts.go measure it. row.go and stats.go judge, report.go writes, with
// what machine.go knows of the machine. node.go is the server's process, fixture.go the large
// pools, which are made once and kept, crowd.go a larger server in memory, and terminal.go a
// terminal that counts.
//
// It needs root: it mounts file systems in files of its own. It leaves nothing behind but
// its results and the fixtures, both in the folder that -cache names.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience is for all of it, fixtures included, on a slow machine.
const patience = 90 * time.Minute

func main() {
	signal.Ignore(syscall.SIGPIPE) // who stops reading does not stop the cleaning up
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what a person may choose.
type options struct {
	bin, cache, docs string
	names            string
	short            bool
	guest            string // run in the guest, and leave the rows in this file
}

func parse(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.bin, "bin", "bin", "folder with dm and dotmesh-server")
	flags.StringVar(&o.cache, "cache", filepath.Join(".cache", "bench"), "folder for the fixtures and results.json")
	flags.StringVar(&o.docs, "docs", filepath.Join("docs", "benchmarks.md"), "page whose table a whole run replaces")
	flags.StringVar(&o.names, "rows", "", "measure only these, separated by commas: "+strings.Join(names(), ","))
	flags.StringVar(&o.guest, "guest", "", "for this program itself: measure what needs ZFS, here, and leave the rows in this file")
	flags.BoolVar(&o.short, "short", false, "few rounds and no fixture of 10,000 dots: a try, whose results are not kept")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.guest != "" {
		return runGuest(ctx, o)
	}
	chosen, err := choose(o.names)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("this mounts file systems of its own in temporary files, so it needs root: sudo make bench")
	}
	l, err := newLab(o)
	if err != nil {
		return err
	}
	result, err := measure(ctx, l, chosen)
	if closeErr := l.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return publish(o, result, len(chosen) == len(scenarios()))
}
