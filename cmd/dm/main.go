// Command dm is Dotmesh for people and scripts at a shell.
//
// A command line becomes an options struct, a run function does the work, and all it
// knows of Dotmesh is a [dotmesh.Service]: an HTTP client on the local socket or on a
// remote of the config file. Nothing is decided here. What a command finds out goes to
// standard output, in the text that Dotmesh's scripts have always read or, with -o, as
// JSON or YAML; everything it has to say goes to standard error; and the exit code says
// what kind of failure there was (exit.go).
//
// One file is one command; missing.go has those whose machinery is not there yet. Around
// them: env.go is what each command has at hand, config.go the file that remembers remotes
// and the current dot, target.go how a dot is found when none is named, output.go the
// formats, complete.go what a shell may ask.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	os.Exit(start())
}

// start wires dm to its process: the terminal, the environment, the clock and the network.
func start() int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // it lives for one answer: a third faster for a list of 10,000 dots
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e := &env{
		IO:     processStreams(os.Getenv),
		Getenv: os.Getenv,
		Home:   os.UserHomeDir,
		Now:    time.Now,
		Dial:   dial,
	}
	return run(ctx, e, os.Args[1:])
}
