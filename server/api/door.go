package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"dotmesh.io/dotmesh"
)

// A Door is where callers come in: a listener, and how they are known there.
type Door struct {
	net.Listener
	local bool // callers are processes of this machine that may open the socket
}

// Group is the group whose members may open the local door.
const Group = "dotmesh"

// ListenLocal opens the unix socket at path. Who may open it administers this node: root,
// and the members of group "dotmesh" if there is one. A socket that a dead server left
// behind is replaced; [dotmesh.Exists] while another server answers there.
func ListenLocal(ctx context.Context, path string) (Door, error) {
	const op = "api.ListenLocal"
	if conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path); err == nil {
		return Door{}, errors.Join(dotmesh.E(op, dotmesh.Exists, "another server answers at %s; stop it first or give this one its own --socket", path), conn.Close())
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return Door{}, dotmesh.Wrap(op, err)
	}
	listener, err := listenUnix(ctx, path)
	if err != nil {
		return Door{}, &dotmesh.Error{Op: op, Kind: dotmesh.KindOf(err), Text: fmt.Sprintf("cannot listen at %s; choose another place with --socket", path), Err: err}
	}
	return Door{Listener: listener, local: true}, nil
}

// listenUnix makes the socket where nobody else can come, and gives it to its group
// before it moves to its place: there is no moment in which a stranger could connect.
func listenUnix(ctx context.Context, path string) (_ net.Listener, err error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), ".dm-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	hidden := filepath.Join(dir, "s")
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", hidden)
	if err != nil {
		return nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := errors.Join(share(hidden), os.Rename(hidden, path)); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return unixListener{listener, path}, nil
}

// share lets the group open the socket at path, if there is such a group; else only root.
func share(path string) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	group, err := user.LookupGroup(Group)
	if err != nil {
		return nil // no such group
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		return fmt.Errorf("group %s: %w", Group, err)
	}
	if err := os.Chown(path, -1, gid); err != nil {
		return err
	}
	return os.Chmod(path, 0o660)
}

// unixListener removes its socket when it is closed.
type unixListener struct {
	net.Listener
	path string
}

// Close also removes the socket's file, unless it is another server's by now.
func (l unixListener) Close() error {
	err := l.Listener.Close()
	if rm := os.Remove(l.path); rm != nil && !errors.Is(rm, os.ErrNotExist) {
		err = errors.Join(err, rm)
	}
	return err
}

// ListenTCP opens a plain HTTP door. The address must be of the loopback interface: what
// goes through this door, keys included, is not encrypted.
func ListenTCP(ctx context.Context, address string) (Door, error) {
	const op = "api.ListenTCP"
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return Door{}, dotmesh.E(op, dotmesh.Invalid, "invalid address %q: it must be host:port, such as 127.0.0.1:32607", clip(address))
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return Door{}, dotmesh.E(op, dotmesh.Invalid, "%s is not a loopback address; this door is not encrypted, so use 127.0.0.1 or ::1", host)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return Door{}, &dotmesh.Error{Op: op, Kind: dotmesh.Exists, Text: fmt.Sprintf("%s is in use; stop what listens there or choose another --listen", address), Err: err}
	}
	if err != nil {
		return Door{}, dotmesh.Wrap(op, err)
	}
	return Door{Listener: listener}, nil
}

// String is where the door is.
func (d Door) String() string {
	if l, ok := d.Listener.(unixListener); ok {
		return "unix://" + l.path
	}
	return "http://" + d.Addr().String()
}

// peer is the process at the other end of a connection to the local door.
type peer struct {
	uid uint32
	pid int32
}

// peerKey is where a connection's context keeps its peer.
type peerKey struct{}

// identify asks the kernel who is at the other end of a connection to the local door.
func (d Door) identify(ctx context.Context, conn net.Conn) context.Context {
	local, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	p, err := peerOf(local)
	if err != nil {
		return ctx // without a peer no request of this connection is let in
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// localPrincipal is who comes in by the local door without naming themselves: the
// administrator of this node, in the person of a process.
func localPrincipal(ctx context.Context) (dotmesh.Principal, error) {
	p, ok := ctx.Value(peerKey{}).(peer)
	if !ok {
		return dotmesh.Principal{}, dotmesh.E("api.identify", dotmesh.Unauthenticated, "the kernel does not say who is calling; connect again")
	}
	return dotmesh.Principal{
		User:     dotmesh.AdminID,
		Name:     dotmesh.AdminNamespace,
		Admin:    true,
		Password: true, // whoever opens this socket may do what a password login may
		Origin:   fmt.Sprintf("unix:uid=%d,pid=%d", p.uid, p.pid),
	}, nil
}
