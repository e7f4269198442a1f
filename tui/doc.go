// Package tui is dm's terminal UI: dots, branches, commits, nodes, transfers and events of
// a cluster, live, with every operation of the scripted dm on a key.
//
// Three parts work together. The feed (tui/feed) follows a server and publishes pictures of
// the cluster, at most eight a second. The ui, one Bubble Tea model, takes a picture or a key
// in, changes nothing but its own state, and hands out what has to be asked of the server
// as commands, whose answers come back as messages. The screens turn state into lines: a
// screen knows its size and fills exactly that.
//
//	server ──> feed ──picture──> ui.Update ──state──> screens ──lines──> terminal
//	   ^                           │   ^
//	   └───────── command ─────────┘   └── key
//
// Keys are data: one table (keys.go) says which key does what where, and dispatch, hints,
// help and the palette are all read from it. Whatever has a name is remembered by its id and
// never by its row, so nothing that arrives moves a cursor or changes what a dialog is about.
//
// The package asks a [dotmesh.Service] and a [dotmesh.Operator] and knows nothing of HTTP,
// cobra or files: dm hands it what it needs.
package tui
