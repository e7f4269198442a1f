//go:build linux

package btrfs

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// What the kernel's send writes, in version 1, which all kernels write and no later one
// does better for us: a magic word and a version, and then commands. A command is its
// length (4 bytes), kind (2), CRC-32C (4) and attributes; an attribute is its kind (2),
// length (2) and value. Numbers are little-endian. No length is believed before it was
// compared with what is there.
const (
	streamMagic   = "btrfs-stream\x00"
	streamVersion = 1
	streamHead    = len(streamMagic) + 4
	commandHead   = 10
	attrHead      = 4

	// maxCommand is far above what version 1 writes, which is 64 KiB.
	maxCommand = 256 << 10
)

// Kinds of commands, as the kernel's send.h numbers them.
const (
	cmdSubvol = iota + 1
	cmdSnapshot
	cmdMkfile
	cmdMkdir
	cmdMknod
	cmdMkfifo
	cmdMksock
	cmdSymlink
	cmdRename
	cmdLink
	cmdUnlink
	cmdRmdir
	cmdSetXattr
	cmdRemoveXattr
	cmdWrite
	cmdClone
	cmdTruncate
	cmdChmod
	cmdChown
	cmdUtimes
	cmdEnd
)

// Kinds of attributes.
const (
	attrUUID = iota + 1
	attrCtransid
	attrIno
	attrSize
	attrMode
	attrUID
	attrGID
	attrRdev
	attrCtime
	attrMtime
	attrAtime
	attrOtime
	attrXattrName
	attrXattrData
	attrPath
	attrPathTo
	attrPathLink
	attrFileOffset
	attrData
	attrCloneUUID
	attrCloneCtransid
	attrClonePath
	attrCloneOffset
	attrCloneLen
	attrs
)

// set is a set of attributes.
type set uint32

func setOf(kinds ...uint) (s set) {
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// shape is a kind of command: its name, and the attributes that it has, each once.
type shape struct {
	name string
	has  set
}

var shapes = [...]shape{
	cmdSubvol:      {"subvol", setOf(attrPath, attrUUID, attrCtransid)},
	cmdSnapshot:    {"snapshot", setOf(attrPath, attrUUID, attrCtransid, attrCloneUUID, attrCloneCtransid)},
	cmdMkfile:      {"mkfile", setOf(attrPath, attrIno)},
	cmdMkdir:       {"mkdir", setOf(attrPath, attrIno)},
	cmdMknod:       {"mknod", setOf(attrPath, attrIno, attrRdev, attrMode)},
	cmdMkfifo:      {"mkfifo", setOf(attrPath, attrIno, attrRdev, attrMode)},
	cmdMksock:      {"mksock", setOf(attrPath, attrIno, attrRdev, attrMode)},
	cmdSymlink:     {"symlink", setOf(attrPath, attrIno, attrPathLink)},
	cmdRename:      {"rename", setOf(attrPath, attrPathTo)},
	cmdLink:        {"link", setOf(attrPath, attrPathLink)},
	cmdUnlink:      {"unlink", setOf(attrPath)},
	cmdRmdir:       {"rmdir", setOf(attrPath)},
	cmdSetXattr:    {"set_xattr", setOf(attrPath, attrXattrName, attrXattrData)},
	cmdRemoveXattr: {"remove_xattr", setOf(attrPath, attrXattrName)},
	cmdWrite:       {"write", setOf(attrPath, attrFileOffset, attrData)},
	cmdClone: {"clone", setOf(attrPath, attrFileOffset, attrCloneLen, attrCloneUUID, attrCloneCtransid,
		attrClonePath, attrCloneOffset)},
	cmdTruncate: {"truncate", setOf(attrPath, attrSize)},
	cmdChmod:    {"chmod", setOf(attrPath, attrMode)},
	cmdChown:    {"chown", setOf(attrPath, attrUID, attrGID)},
	cmdUtimes:   {"utimes", setOf(attrPath, attrAtime, attrMtime, attrCtime)},
	cmdEnd:      {"end", 0},
}

// attrSizes are the sizes of those attributes that have a fixed one.
var attrSizes = [attrs]int{
	attrUUID: 16, attrCloneUUID: 16,
	attrCtransid: 8, attrIno: 8, attrSize: 8, attrMode: 8, attrUID: 8, attrGID: 8, attrRdev: 8,
	attrFileOffset: 8, attrCloneCtransid: 8, attrCloneOffset: 8, attrCloneLen: 8,
	attrCtime: 12, attrMtime: 12, attrAtime: 12, attrOtime: 12,
}

// command is one command. Its values are parts of what the parser was fed, and as short-lived.
type command struct {
	kind   uint16
	values [attrs][]byte
}

func (c *command) String() string {
	if path := c.values[attrPath]; path != nil {
		return fmt.Sprintf("%s %q", shapes[c.kind].name, path)
	}
	return shapes[c.kind].name
}

func (c *command) number(attr int) uint64 { return binary.LittleEndian.Uint64(c.values[attr]) }

func (c *command) uuid(attr int) dotmesh.UUID { return dotmesh.UUID(c.values[attr]) }

// time returns a time. The kernel's numbers for "now" and "as it is" are none.
func (c *command) time(attr int) (unix.Timespec, error) {
	sec, nsec := int64(c.number(attr)), binary.LittleEndian.Uint32(c.values[attr][8:])
	if nsec >= 1e9 {
		return unix.Timespec{}, broken("a time with %d nanoseconds", nsec)
	}
	return unix.Timespec{Sec: sec, Nsec: int64(nsec)}, nil
}

// path returns a path that leads from the top of a subvolume to something below it, or ""
// for the top.
func (c *command) path(attr int) (string, error) {
	path := c.values[attr]
	if fault := pathFault(path); fault != "" {
		return "", broken("the path %.300q, which %s", path, fault)
	}
	return string(path), nil
}

// pathFault says why no file below a subvolume has that path, "" if one can. What is
// refused here is what a kernel would resolve to somewhere else.
func pathFault(path []byte) string {
	if len(path) >= unix.PathMax {
		return "is too long"
	}
	start := 0
	for i, b := range path {
		switch b {
		case 0:
			return "holds a NUL"
		case '/':
			if fault := nameFault(path[start:i]); fault != "" {
				return fault
			}
			start = i + 1
		}
	}
	if len(path) == 0 {
		return ""
	}
	return nameFault(path[start:])
}

func nameFault(name []byte) string {
	switch {
	case len(name) == 0:
		return "has an empty part"
	case len(name) > unix.NAME_MAX:
		return "has a part that is too long"
	case string(name) == ".", string(name) == "..":
		return "leads elsewhere"
	}
	return ""
}

// parser cuts a stream into commands, in whatever pieces it comes.
type parser struct {
	rest  []byte // of what came, the beginning of a command
	begun bool   // the magic word was there
	ended bool   // the command end was there
	command
}

// feed calls do with each command that the next piece completes, until one fails. A
// parser that has failed must not be fed again.
func (p *parser) feed(b []byte, do func(*command) error) error {
	for len(p.rest) > 0 && len(b) > 0 {
		n, err := p.length(p.rest)
		if err != nil {
			return err
		}
		take := min(n-len(p.rest), len(b))
		p.rest, b = append(p.rest, b[:take]...), b[take:]
		if n, err = p.length(p.rest); err != nil {
			return err
		}
		if n > len(p.rest) {
			continue
		}
		if err := p.take(p.rest, do); err != nil {
			return err
		}
		p.rest = p.rest[:0]
	}
	for len(b) > 0 {
		n, err := p.length(b)
		if err != nil {
			return err
		}
		if n > len(b) {
			break
		}
		if err := p.take(b[:n], do); err != nil {
			return err
		}
		b = b[n:]
	}
	p.rest = append(p.rest, b...)
	return nil
}

// finish says whether the stream may end here.
func (p *parser) finish() error {
	if !p.ended || len(p.rest) > 0 {
		return broken("no end")
	}
	return nil
}

// length returns how long what b begins with is, as far as b tells.
func (p *parser) length(b []byte) (int, error) {
	if p.ended {
		return 0, broken("something behind its end")
	}
	if !p.begun {
		return streamHead, nil
	}
	if len(b) < commandHead {
		return commandHead, nil
	}
	length := binary.LittleEndian.Uint32(b)
	if length > maxCommand {
		return 0, broken("a command of %d bytes", length)
	}
	return commandHead + int(length), nil
}

// take takes what length has measured.
func (p *parser) take(b []byte, do func(*command) error) error {
	if !p.begun {
		p.begun = true
		return checkHead(b)
	}
	if err := p.decode(b); err != nil {
		return err
	}
	p.ended = p.kind == cmdEnd
	return do(&p.command)
}

func checkHead(b []byte) error {
	if string(b[:len(streamMagic)]) != streamMagic {
		return broken("another beginning than a btrfs stream has")
	}
	if v := binary.LittleEndian.Uint32(b[len(streamMagic):]); v != streamVersion {
		return broken("version %d, and only %d is understood", v, streamVersion)
	}
	return nil
}

// decode reads one command.
func (p *parser) decode(b []byte) error {
	crc := rawCRC(rawCRC(rawCRC(0, b[:6]), []byte{0, 0, 0, 0}), b[commandHead:])
	if crc != binary.LittleEndian.Uint32(b[6:]) {
		return broken("a command with a wrong checksum")
	}
	p.kind = binary.LittleEndian.Uint16(b[4:])
	if int(p.kind) >= len(shapes) || shapes[p.kind].name == "" {
		return broken("an unknown command %d", p.kind)
	}
	return p.decodeAttrs(b[commandHead:])
}

func (p *parser) decodeAttrs(b []byte) error {
	clear(p.values[:])
	shape, seen := shapes[p.kind], set(0)
	for len(b) > 0 {
		if len(b) < attrHead {
			return broken("a %s that is cut off", shape.name)
		}
		attr, size := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
		b = b[attrHead:]
		switch {
		case attr >= attrs || shape.has&(1<<attr) == 0:
			return broken("a %s with an attribute %d", shape.name, attr)
		case seen&(1<<attr) != 0:
			return broken("a %s with two attributes %d", shape.name, attr)
		case size > len(b), attrSizes[attr] != 0 && attrSizes[attr] != size:
			return broken("a %s with an attribute %d of %d bytes", shape.name, attr, size)
		}
		seen |= 1 << attr
		p.values[attr], b = b[:size:size], b[size:]
	}
	if missing := shape.has &^ seen; missing != 0 {
		return broken("a %s without its attribute %d", shape.name, bits.TrailingZeros32(uint32(missing)))
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rawCRC is CRC-32C as the kernel computes it, without the usual inversions.
func rawCRC(crc uint32, p []byte) uint32 { return ^crc32.Update(^crc, castagnoli, p) }

// broken is the error of a stream that no kernel sends.
func broken(format string, args ...any) error {
	return dotmesh.E("", dotmesh.Corrupt, "the stream is damaged: it has "+format, args...)
}
