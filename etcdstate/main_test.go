package etcdstate_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/etcdstate"
)

// The test binary is etcd, too: "etcd.test etcd --data-dir D --socket S".
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "etcd":
			os.Exit(runEtcd(os.Args[2:]))
		case "supervise":
			os.Exit(runSupervisor(os.Args[2], os.Args[3]))
		case "alive":
			os.Exit(runAlive(os.Args[2], os.Args[3], os.Args[4]))
		}
	}
	goleak.VerifyTestMain(m)
}

func runEtcd(args []string) int {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	c := etcdstate.ServeConfig{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	flags.StringVar(&c.DataDir, "data-dir", "", "")
	flags.StringVar(&c.Socket, "socket", "", "")
	flags.Int64Var(&c.Quota, "quota", 0, "")
	flags.DurationVar(&c.History, "history", 0, "")
	flags.DurationVar(&c.Maintain, "maintain", 0, "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	c.Ready = func() { fmt.Println("ready") }
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := etcdstate.Serve(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// runSupervisor supervises an etcd until it is killed.
func runSupervisor(dataDir, socket string) int {
	err := etcdstate.Supervise(context.Background(), etcdstate.SuperviseConfig{
		Executable: os.Args[0], DataDir: dataDir, Socket: socket, Stderr: io.Discard,
		Ready: func() { fmt.Println("ready") },
	})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// runAlive keeps a node alive until it is killed.
func runAlive(endpoint, prefix, node string) int {
	r, err := etcdstate.Connect(etcdstate.Config{Endpoints: []string{endpoint}, Prefix: prefix})
	if err == nil {
		err = r.StayAlive(context.Background(), dotmesh.NodeID(node))
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// etcd is a running etcd, a process of its own.
type etcd struct {
	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
}

// startEtcd runs an etcd with its data in a new directory until the test ends.
func startEtcd(t testing.TB, args ...string) *etcd {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	e := &etcd{t: t, dir: dir, args: args}
	t.Cleanup(func() {
		e.kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	e.start()
	return e
}

func (e *etcd) dataDir() string  { return filepath.Join(e.dir, "data") }
func (e *etcd) socket() string   { return filepath.Join(e.dir, "etcd.sock") }
func (e *etcd) endpoint() string { return "unix://" + e.socket() }

// start returns when etcd serves.
func (e *etcd) start() {
	e.t.Helper()
	e.cmd = exec.Command(os.Args[0], append([]string{"etcd", "--data-dir", e.dataDir(), "--socket", e.socket()}, e.args...)...)
	e.cmd.Stderr = os.Stderr
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		e.kill()
		e.t.Fatalf("etcd did not become ready: %v", err)
	}
}

// kill ends etcd as a power cut would, if it runs.
func (e *etcd) kill() {
	if e.cmd == nil {
		return
	}
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait() // "signal: killed" is what is wanted
	e.cmd = nil
}

// open connects to etcd, with the keys below a prefix of the test's own.
func (e *etcd) open(t testing.TB, prefix string) *etcdstate.Registry {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := etcdstate.Open(ctx, etcdstate.Config{Endpoints: []string{e.endpoint()}, Prefix: prefix})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return r
}

func prefixOf(t testing.TB) string { return fmt.Sprintf("/test/%s/", dotmesh.NewUUID()) }

// poked is a registry into which a test can write anything.
type poked struct {
	*etcdstate.Registry
	t      testing.TB
	client *clientv3.Client
	prefix string
}

// Poke writes a raw value past all verbs, or deletes it if nil.
func (p poked) Poke(key string, value []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	op := clientv3.OpPut(p.prefix+key, string(value))
	if value == nil {
		op = clientv3.OpDelete(p.prefix + key)
	}
	if _, err := p.client.Do(ctx, op); err != nil {
		p.t.Errorf("Poke: %v", err)
	}
}

// raw connects to etcd past the registry.
func (e *etcd) raw(t testing.TB) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{e.endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}
