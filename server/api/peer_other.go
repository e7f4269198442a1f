//go:build !linux

package api

import (
	"errors"
	"net"
)

// peerOf knows nobody: servers run on Linux, only the client does elsewhere.
func peerOf(*net.UnixConn) (peer, error) { return peer{}, errors.ErrUnsupported }
