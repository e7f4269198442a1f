package server

import (
	"cmp"
	"context"
	"errors"
	"io"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/safepath"
)

const (
	defaultPart = 64 << 10
	maxPart     = 1 << 20
)

// ReadFile implements dotmesh.Service.
func (s *service) ReadFile(ctx context.Context, r dotmesh.FileRequest) (part dotmesh.FilePart, err error) {
	const op = "server.ReadFile"
	_, c, err := s.resolve(ctx, r.CommitRef, maySee)
	if err != nil {
		return part, err
	}
	if r.Offset < 0 || r.Limit < 0 {
		return part, dotmesh.E(op, dotmesh.Invalid, "neither offset nor limit can be negative")
	}
	limit := min(cmp.Or(r.Limit, defaultPart), maxPart)
	err = s.node.mounted(ctx, dotmesh.Ref{Line: c.Line, Commit: c.ID}, "file", func(dir string) error {
		part, err = readPart(dir, r.Path, r.Offset, limit)
		return err
	})
	return part, dotmesh.Wrap(op, err)
}

// readPart reads at most limit bytes of a file below dir, fewer only at its end.
func readPart(dir, path string, offset int64, limit int) (part dotmesh.FilePart, err error) {
	file, err := safepath.OpenFile(dir, path)
	if err != nil {
		return part, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return part, damaged(path, err)
	}
	part.Size = info.Size()
	part.Data = make([]byte, max(0, min(int64(limit), part.Size-offset)))
	n, err := file.ReadAt(part.Data, offset)
	part.Data = part.Data[:n]
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return part, damaged(path, err)
}

// damaged says so of a file that the disk does not return as it was written.
func damaged(path string, err error) error {
	if !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EUCLEAN) {
		return err
	}
	e := dotmesh.E("server.readPart", dotmesh.Corrupt, "%q cannot be read: the disk returns something else than was written", path)
	e.Err = err
	return e
}
