//go:build linux

package btrfs_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/frame"
)

// Kinds of commands and of their attributes, as the kernel's send.h numbers them.
const (
	cSubvol = iota + 1
	cSnapshot
	cMkfile
	cMkdir
	cMknod
	cMkfifo
	cMksock
	cSymlink
	cRename
	cLink
	cUnlink
	cRmdir
	cSetXattr
	cRemoveXattr
	cWrite
	cClone
	cTruncate
	cChmod
	cChown
	cUtimes
	cEnd
	cUpdateExtent
)

const (
	aUUID = iota + 1
	aCtransid
	aIno
	aSize
	aMode
	aUID
	aGID
	aRdev
	aCtime
	aMtime
	aAtime
	aOtime
	aXattrName
	aXattrData
	aPath
	aPathTo
	aPathLink
	aFileOffset
	aData
	aCloneUUID
	aCloneCtransid
	aClonePath
	aCloneOffset
	aCloneLen
)

// script is a send stream in the making. Its methods add one command each.
type script struct{ bytes.Buffer }

// attr is an attribute: a string or bytes, a number, a uuid or a time.
type attr struct {
	kind  uint16
	value any
}

func (a attr) encode() []byte {
	value := []byte{}
	switch v := a.value.(type) {
	case string:
		value = []byte(v)
	case []byte:
		value = v
	case int:
		value = binary.LittleEndian.AppendUint64(nil, uint64(v))
	case uint64:
		value = binary.LittleEndian.AppendUint64(nil, v)
	case dotmesh.UUID:
		value = v[:]
	}
	b := binary.LittleEndian.AppendUint16(nil, a.kind)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// begin adds what a stream begins with.
func (s *script) begin(version uint32) *script {
	s.WriteString("btrfs-stream\x00")
	s.Write(binary.LittleEndian.AppendUint32(nil, version))
	return s
}

// do adds a command.
func (s *script) do(kind uint16, attrs ...attr) *script {
	payload := []byte{}
	for _, a := range attrs {
		payload = append(payload, a.encode()...)
	}
	return s.raw(kind, uint32(len(payload)), payload)
}

// raw adds a command with whatever length it says that it has.
func (s *script) raw(kind uint16, length uint32, payload []byte) *script {
	b := binary.LittleEndian.AppendUint32(nil, length)
	b = binary.LittleEndian.AppendUint16(b, kind)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(b, payload...)
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(b[6:], ^crc32.Update(^uint32(0), table, b))
	s.Write(b)
	return s
}

func (s *script) mkfile(path string) *script {
	return s.do(cMkfile, attr{aPath, path}, attr{aIno, 300})
}

func (s *script) mkdir(path string) *script  { return s.do(cMkdir, attr{aPath, path}, attr{aIno, 300}) }
func (s *script) unlink(path string) *script { return s.do(cUnlink, attr{aPath, path}) }
func (s *script) rmdir(path string) *script  { return s.do(cRmdir, attr{aPath, path}) }
func (s *script) end() *script               { return s.do(cEnd) }

func (s *script) symlink(path, target string) *script {
	return s.do(cSymlink, attr{aPath, path}, attr{aIno, 300}, attr{aPathLink, target})
}

func (s *script) node(kind uint16, path string, mode, device int) *script {
	return s.do(kind, attr{aPath, path}, attr{aIno, 300}, attr{aRdev, device}, attr{aMode, mode})
}

func (s *script) rename(from, to string) *script {
	return s.do(cRename, attr{aPath, from}, attr{aPathTo, to})
}

func (s *script) link(path, target string) *script {
	return s.do(cLink, attr{aPath, path}, attr{aPathLink, target})
}

func (s *script) write(path string, at uint64, data string) *script {
	return s.do(cWrite, attr{aPath, path}, attr{aFileOffset, at}, attr{aData, data})
}

func (s *script) truncate(path string, size uint64) *script {
	return s.do(cTruncate, attr{aPath, path}, attr{aSize, size})
}

func (s *script) chmod(path string, mode int) *script {
	return s.do(cChmod, attr{aPath, path}, attr{aMode, mode})
}

func (s *script) chown(path string, uid, gid uint64) *script {
	return s.do(cChown, attr{aPath, path}, attr{aUID, uid}, attr{aGID, gid})
}

func (s *script) xattr(path, name, value string) *script {
	return s.do(cSetXattr, attr{aPath, path}, attr{aXattrName, name}, attr{aXattrData, value})
}

func (s *script) utimes(path string, nsec uint32) *script {
	moment := binary.LittleEndian.AppendUint32(make([]byte, 8), nsec)
	return s.do(cUtimes, attr{aPath, path}, attr{aAtime, moment}, attr{aMtime, moment}, attr{aCtime, moment})
}

func (s *script) clone(path string, to uint64, of dotmesh.UUID, from string, at, length uint64) *script {
	return s.do(cClone, attr{aPath, path}, attr{aFileOffset, to}, attr{aCloneLen, length},
		attr{aCloneUUID, of}, attr{aCloneCtransid, 1}, attr{aClonePath, from}, attr{aCloneOffset, at})
}

// framed returns the script as the body of a stream.
func (s *script) framed(t testing.TB, h frame.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := frame.NewWriter(&out)
	err := w.Begin(&h)
	if err == nil {
		_, err = w.Write(s.Bytes())
	}
	if err == nil {
		err = w.End()
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
