package etcdstate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"google.golang.org/grpc"

	"dotmesh.io/dotmesh"
)

// Defaults of [ServeConfig].
const (
	DefaultQuota    = 1 << 30
	DefaultHistory  = time.Hour
	DefaultMaintain = time.Minute
)

const (
	// A lone member wins every election, but only after waiting for up to two timeouts, and
	// nothing can be registered before. Ticking ten times a second costs 0.4 % of a core.
	heartbeat = 100 * time.Millisecond
	election  = 500 * time.Millisecond

	startTime = 60 * time.Second // a data directory that was not closed is replayed first
	maxTxnOps = 4096             // deleting a dot compares the pointer of each of its branches
	logFiles  = 2                // of etcd's log, which is read at each start; a lone member needs no old ones
	logSize   = 16 << 20         // of each; etcd's own default is four times that
	slack     = 64 << 20         // free space in the file that is not worth a defragmentation
)

// ServeConfig says how etcd runs.
type ServeConfig struct {
	DataDir  string        // made if need be, 0700
	Socket   string        // where clients connect, 0600; a socket left over there is replaced
	Quota    int64         // bytes that the data may grow to; 0: [DefaultQuota]
	History  time.Duration // how far back a watch can go on; 0: [DefaultHistory]
	Maintain time.Duration // between looks at the space; 0: [DefaultMaintain]
	Logger   *slog.Logger  // nil: silent
	Ready    func()        // called once, when clients are served; may be nil
}

func (c *ServeConfig) defaults() {
	if c.Quota == 0 {
		c.Quota = DefaultQuota
	}
	if c.History == 0 {
		c.History = DefaultHistory
	}
	if c.Maintain == 0 {
		c.Maintain = DefaultMaintain
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Ready == nil {
		c.Ready = func() {}
	}
}

// Serve runs an etcd of one member in this process until ctx ends, and then returns nil.
// It listens on the socket and nowhere else. [dotmesh.Busy] if another process works on
// the data directory. It is meant to be a process's only work: etcd ends the process
// when it cannot trust its disk.
func Serve(ctx context.Context, c ServeConfig) (err error) {
	c.defaults()
	if err := prepare(&c); err != nil {
		return dotmesh.Wrap("etcdstate.Serve", err)
	}
	lock, err := lockDir(c.DataDir)
	if err != nil {
		return dotmesh.Wrap("etcdstate.Serve", err)
	}
	defer func() { err = dotmesh.Wrap("etcdstate.Serve", errors.Join(err, lock.release())) }()

	setLogSize()
	var at phase
	config, err := c.embed(&at)
	if err != nil {
		return err
	}
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return &dotmesh.Error{
			Op: "start etcd", Kind: dotmesh.Internal, Err: err,
			Text: fmt.Sprintf("etcd cannot start on %s; its log says why", c.DataDir),
		}
	}
	defer func() {
		at.Store(closing)
		etcd.Close()
	}()
	if err := awaitReady(ctx, etcd); err != nil || ctx.Err() != nil {
		return err
	}
	if err := os.Chmod(c.Socket, 0o600); err != nil {
		return err
	}
	at.Store(serving)
	c.Logger.Info("etcd serves", "data", c.DataDir, "socket", c.Socket)
	c.Ready()
	return c.maintain(ctx, etcd)
}

// setLogSize sets what etcd knows only as a variable of its own.
var setLogSize = sync.OnceFunc(func() { wal.SegmentSizeBytes = logSize })

func prepare(c *ServeConfig) error {
	for _, dir := range []string{c.DataDir, filepath.Dir(c.Socket)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return os.Chmod(c.DataDir, 0o700)
}

// embed returns etcd's configuration. A lone member has no peers, so there is no peer
// listener; its peer address is never dialled.
func (c *ServeConfig) embed(at *phase) (*embed.Config, error) {
	token, err := newToken()
	if err != nil {
		return nil, err
	}
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	client := url.URL{Scheme: "unix", Path: c.Socket}
	e := embed.NewConfig()
	e.Name = "dotmesh"
	e.Dir = c.DataDir
	e.ListenPeerUrls, e.AdvertisePeerUrls = nil, []url.URL{peer}
	e.ListenClientUrls, e.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	e.InitialCluster = e.Name + "=" + peer.String()
	e.InitialClusterToken = token
	e.TickMs, e.ElectionMs = uint(heartbeat/time.Millisecond), uint(election/time.Millisecond)
	e.QuotaBackendBytes = c.Quota
	e.MaxWalFiles, e.MaxSnapFiles = logFiles, logFiles
	e.MaxTxnOps = maxTxnOps
	e.AutoCompactionMode, e.AutoCompactionRetention = embed.CompactorModePeriodic, c.History.String()
	e.EnableGRPCGateway = false
	e.GRPCAdditionalServerOptions = []grpc.ServerOption{grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connWindow)}
	e.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapLogger(c.Logger, at))
	return e, e.Validate()
}

// newToken makes the id of a new data directory's cluster unlike any other's, so that
// clients notice a directory that was wiped. A directory with data keeps its id.
func newToken() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return "dotmesh-" + hex.EncodeToString(b[:]), nil
}

func awaitReady(ctx context.Context, etcd *embed.Etcd) error {
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case <-etcd.Server.ReadyNotify():
		return nil
	case <-ctx.Done():
		return nil
	case err := <-etcd.Err():
		return fmt.Errorf("start etcd: %w", err)
	case <-etcd.Server.StopNotify():
		return errors.New("etcd stopped by itself while it started")
	case <-late.C:
		return dotmesh.E("start etcd", dotmesh.Timeout, "etcd was not ready within %s", startTime)
	}
}

// maintain keeps etcd's file small and takes it out of its NOSPACE alarm, until ctx ends.
func (c *ServeConfig) maintain(ctx context.Context, etcd *embed.Etcd) error {
	client := v3client.New(etcd.Server)
	defer client.Close()
	ticker := time.NewTicker(c.Maintain)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := c.makeRoom(ctx, client, etcd); err != nil && ctx.Err() == nil {
				c.Logger.Error("etcd could not be maintained", "err", err)
			}
		case <-ctx.Done():
			return nil
		case err := <-etcd.Err():
			return fmt.Errorf("serve etcd: %w", err)
		case <-etcd.Server.StopNotify():
			return errors.New("etcd stopped by itself")
		}
	}
}

// makeRoom compacts and defragments when that is worth it, and ends the alarm if there is
// room again.
func (c *ServeConfig) makeRoom(ctx context.Context, client *clientv3.Client, etcd *embed.Etcd) error {
	full := false
	for _, alarm := range etcd.Server.Alarms() {
		full = full || alarm.Alarm == pb.AlarmType_NOSPACE
	}
	backend := etcd.Server.Backend()
	if full {
		revision := etcd.Server.KV().Rev()
		if _, err := client.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil {
			c.Logger.Debug("etcd not compacted", "revision", revision, "err", err) // it may be compacted there already
		}
	}
	if size, used := backend.Size(), backend.SizeInUse(); full || size-used > max(slack, size/2) {
		if err := backend.Defrag(); err != nil {
			return fmt.Errorf("defragment: %w", err)
		}
		c.Logger.Info("etcd defragmented", "before", size, "after", backend.Size())
	}
	if !full {
		return nil
	}
	if size := backend.Size(); size > c.Quota/10*9 {
		c.Logger.Error("etcd is full: nothing can be changed; raise its quota", "size", size, "quota", c.Quota)
		return nil
	}
	if _, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		return fmt.Errorf("end the alarm: %w", err)
	}
	c.Logger.Warn("etcd had run out of its quota and has room again", "quota", c.Quota)
	return nil
}
