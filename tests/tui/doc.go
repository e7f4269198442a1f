// Package tui drives the terminal UI from outside, as a user does.
//
// The programs run in a tmux of the test's own, or on a pseudo-terminal whose every byte is
// looked at. On a real node, a dotmesh-server with its etcd on a btrfs pool in a file, each
// key is followed by a question to the API: is it true? On the cluster in memory of
// "dm ui --demo" the same keys move branches and follow transfers. The rest is about what no
// user wants to see: names and messages that give orders to the terminal, terminals that
// answer nothing, say that they are 0x0 or change their size a hundred times, and ends of
// every kind, after which the terminal must be as it was.
//
// It needs root and tmux:
//
//	go test ./tests/tui
package tui
