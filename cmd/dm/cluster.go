package main

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

func newClusterCommand(e *env) *cobra.Command {
	ca := group("ca", "Look after the cluster's certificate authority",
		"Look after the certificate authority that the nodes trust each other by.", "  dm cluster ca rotate",
		e.newMissingCommand("rotate", "Replace the certificate authority",
			"Replace the cluster's certificate authority, with an overlap.", "  dm cluster ca rotate", "Rotating the certificate authority"))
	return group("cluster", "Look after the cluster",
		"Show the nodes of the cluster, rebuild or copy what they agree on, and add or remove nodes.",
		"  dm cluster status\n  dm cluster backup-etcd > backup.json",
		newClusterStatusCommand(e), newClusterRecoverCommand(e), newClusterBackupCommand(e), newClusterRestoreCommand(e), ca,
		e.newMissingCommand("init", "Start a cluster in Docker",
			"Start a cluster of one node in Docker on this machine. Without Docker, start dotmesh-server.",
			"  dm cluster init", "Starting a cluster in Docker"),
		e.newMissingCommand("join ADDRESS", "Make this machine a node of a cluster",
			"Make this machine a node of a cluster, with a token that a member made.",
			"  dm cluster join 192.0.2.5 --token-file -", "Joining a cluster"),
		e.newMissingCommand("upgrade", "Replace the server by another version",
			"Replace the server by another version; data and settings stay.", "  dm cluster upgrade", "Upgrading in Docker"),
		e.newMissingCommand("reset", "Remove the cluster from this machine",
			"Remove the server and what it keeps beside the pool from this machine.", "  dm cluster reset", "Resetting in Docker"),
		newClusterTokenCommand(e), newClusterDrainCommand(e),
		e.newMissingCommand("remove NODE", "Remove a node from the cluster",
			"Remove a node from the cluster; it is refused at once.", "  dm cluster remove node-2", "Removing a node"))
}

func newClusterRecoverCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "recover",
		Short: "Rebuild what the nodes agree on from what this node's pool holds",
		Long: `Rebuild what the nodes agree on, after it was lost or set back, from the commits in this
node's pool and from the copy that the pool keeps. Nothing in the pool is destroyed: what
belongs to no branch becomes a stash.`,
		Example: "  dm cluster recover",
		Args:    args(0, 0, ""),
		RunE:    e.timed(func(ctx context.Context, _ []string) error { return runClusterRecover(ctx, e) }),
	}
}

func runClusterRecover(ctx context.Context, e *env) error {
	s, err := e.connect()
	if err != nil {
		return err
	}
	found, err := s.Recover(ctx)
	if err != nil {
		return err
	}
	return e.show(found, func() error {
		e.IO.Out.WriteString("Recovered " + plural(found.Dots, "dot", "dots") + ", " +
			plural(found.Branches, "branch", "branches") + " and " + plural(found.Commits, "commit", "commits") + ".\n")
		for _, note := range found.Notes {
			e.IO.Out.WriteString("Note: " + termsafe.Line(note) + "\n")
		}
		return nil
	})
}

// backup is the file that backup-etcd writes and restore-etcd reads.
type backup struct {
	Version string          `json:"version"`
	Created time.Time       `json:"created"`
	Entries []dotmesh.Entry `json:"entries"`
}

// backupVersion tells our backups from the original's, which were "v1".
const backupVersion = "v2"

// maxBackup is the largest backup that is read, in bytes.
const maxBackup = 1 << 30

func newClusterBackupCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "backup-etcd",
		Short: "Print a copy of what the nodes agree on",
		Long: `Print a copy, in JSON, of what the nodes agree on: dots, branches, commits and users, but no
data. It holds hashes of keys and passwords: keep it where others cannot read it.`,
		Example: "  dm cluster backup-etcd > backup.json",
		Args:    args(0, 0, ""),
		RunE:    e.timed(func(ctx context.Context, _ []string) error { return runClusterBackup(ctx, e) }),
	}
}

func runClusterBackup(ctx context.Context, e *env) error {
	s, err := e.connect()
	if err != nil {
		return err
	}
	entries, err := s.Export(ctx)
	if err != nil {
		return err
	}
	return writeJSON(e.IO.Out, backup{Version: backupVersion, Created: e.Now().UTC(), Entries: nonNil(entries)})
}

func newClusterRestoreCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "restore-etcd",
		Short: "Replace what the nodes agree on by a copy from standard input",
		Long: `Replace what the nodes agree on by a copy that "dm cluster backup-etcd" printed. What
happened since then is forgotten, and no data are destroyed by that: "dm cluster recover"
finds them again in the pool.`,
		Example: "  dm cluster restore-etcd < backup.json",
		Args:    args(0, 0, ""),
		RunE:    e.timed(func(ctx context.Context, _ []string) error { return runClusterRestore(ctx, e) }),
	}
}

func runClusterRestore(ctx context.Context, e *env) error {
	b, err := readBackup(e.IO.In)
	if err != nil {
		return err
	}
	s, err := e.connect()
	if err != nil {
		return err
	}
	if err := s.Import(ctx, b.Entries); err != nil {
		return err
	}
	e.IO.say("Restored %s of %s.", plural(len(b.Entries), "entry", "entries"), stamp(b.Created))
	return nil
}

// readBackup reads what runClusterBackup wrote, and says so of what it did not.
func readBackup(in io.Reader) (b backup, err error) {
	data, err := io.ReadAll(io.LimitReader(in, maxBackup))
	if err != nil {
		return b, failure("read the backup", err)
	}
	var version struct{ Version string }
	if err := json.Unmarshal(data, &version); err != nil {
		return b, dotmesh.E("read backup", dotmesh.Invalid, "standard input is not a backup: %v", err)
	}
	if version.Version != backupVersion {
		return b, dotmesh.E("read backup", dotmesh.Invalid, "this dm reads backups of version %q, and not of version %q", backupVersion, version.Version)
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return b, dotmesh.E("read backup", dotmesh.Invalid, "the backup is damaged: %v", err)
	}
	if len(b.Entries) == 0 {
		return b, dotmesh.E("read backup", dotmesh.Invalid, "the backup is empty; nothing was done")
	}
	return b, nil
}
