package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	healthy = "ok" // what PRAGMA integrity_check says of a healthy database
	batch   = 20   // rows in one transaction of the load
)

// database is an SQLite database in write-ahead mode, used through the sqlite3 program.
type database struct{ path string }

func (d *database) create(ctx context.Context, rows int) error {
	return d.run(ctx, "PRAGMA journal_mode = wal; CREATE TABLE orders (id INTEGER PRIMARY KEY, at TEXT, what BLOB); "+insertRows(rows))
}

func (d *database) insert(ctx context.Context, rows int) error { return d.run(ctx, insertRows(rows)) }

func insertRows(n int) string {
	return fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "+
		"INSERT INTO orders (at, what) SELECT datetime('now'), randomblob(250) FROM n;", n)
}

func (d *database) run(ctx context.Context, sql string) error {
	_, err := d.query(ctx, sql)
	return err
}

func (d *database) query(ctx context.Context, sql string) (string, error) {
	cmd := exec.CommandContext(ctx, "sqlite3", "-bail", d.path, "PRAGMA synchronous = full; "+sql)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("sqlite3: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// ask returns what the database says of its own health, in one line, and its row count.
func (d *database) ask(ctx context.Context) (health string, rows int, err error) {
	answer, err := d.query(ctx, "PRAGMA integrity_check(1);")
	if err != nil {
		return err.Error(), 0, err
	}
	health, _, _ = strings.Cut(strings.ReplaceAll(answer, "\n", " "), "\x00")
	count, err := d.query(ctx, "SELECT count(*) FROM orders;")
	if err != nil {
		return health, 0, err
	}
	rows, err = strconv.Atoi(count)
	return health, rows, err
}

// damage overwrites the middle of the database's file.
func (d *database) damage() (err error) {
	f, err := os.OpenFile(d.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	garbage := make([]byte, 4<<20)
	if _, err := rand.Read(garbage); err != nil {
		return err
	}
	if _, err := f.WriteAt(garbage, info.Size()/2); err != nil {
		return err
	}
	return f.Sync()
}

// copyOf copies a database with its write-ahead log, since one that is mounted read-only
// cannot be opened with its log.
func copyOf(path, folder string) (*database, error) {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	copied := &database{path: filepath.Join(folder, filepath.Base(path))}
	for _, end := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + end)
		if errors.Is(err, fs.ErrNotExist) && end != "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(copied.path+end, data, 0o600); err != nil {
			return nil, err
		}
	}
	return copied, nil
}

// load is an sqlite3 that writes one transaction after the other.
type load struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Scanner
	rows  atomic.Int64 // confirmed by SQLite, so on disk
	halt  chan struct{}
	ended chan struct{} // closed when the writer has ended with err
	err   error
	once  sync.Once
}

func (d *database) load(ctx context.Context) (*load, error) {
	l := &load{cmd: exec.CommandContext(ctx, "sqlite3", "-bail", d.path), halt: make(chan struct{}), ended: make(chan struct{})}
	var err error
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l.out = bufio.NewScanner(out)
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(l.ended)
		l.err = errors.Join(l.write(), l.in.Close(), l.cmd.Wait())
	}()
	return l, nil
}

// write sends a transaction, waits until SQLite has confirmed it, and goes on until halted.
func (l *load) write() error {
	if _, err := io.WriteString(l.in, "PRAGMA synchronous = full;\n"); err != nil {
		return err
	}
	for {
		select {
		case <-l.halt:
			return nil
		default:
		}
		if _, err := io.WriteString(l.in, insertRows(batch)+" SELECT count(*) FROM orders;\n"); err != nil {
			return err
		}
		if !l.out.Scan() {
			return errors.Join(errors.New("sqlite3 stopped answering"), l.out.Err())
		}
		rows, err := strconv.ParseInt(l.out.Text(), 10, 64)
		if err != nil {
			return err
		}
		l.rows.Store(rows)
	}
}

// confirmed returns how many rows SQLite has said are written.
func (l *load) confirmed() int { return int(l.rows.Load()) }

// reached waits until so many rows are confirmed.
func (l *load) reached(ctx context.Context, rows int) error {
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for l.confirmed() < rows {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.ended:
			return fmt.Errorf("the load ended early: %w", l.err)
		case <-again.C:
		}
	}
	return nil
}

// stop ends the load after its present transaction. Called twice it does nothing.
func (l *load) stop() error {
	l.once.Do(func() { close(l.halt) })
	<-l.ended
	return l.err
}
