package api

import (
	"log/slog"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
	"github.com/gorilla/rpc/v2"
)

// audit tells of a call that ended and, if it may have changed something, writes down who
// made it. It never writes parameters: they hold messages, and may hold secrets.
func (h *handler) audit(info *rpc.RequestInfo) {
	c := callOf(info.Request.Context())
	took := time.Since(c.began)
	h.Observe(info.Method, dotmesh.KindOf(info.Error), took)
	level := slog.LevelInfo
	switch name, own := strings.CutPrefix(info.Method, methodPrefix); {
	case dotmesh.KindOf(info.Error) == dotmesh.Internal:
		level = slog.LevelError
	case own && reads(name), !own && legacyReads(strings.TrimPrefix(name, legacyPrefix)):
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("method", info.Method),
		slog.String("user", string(c.principal.Name)),
		slog.String("origin", c.principal.Origin),
		slog.Duration("took", took),
	}
	if info.Error != nil {
		attrs = append(attrs, slog.String("kind", string(dotmesh.KindOf(info.Error))), slog.String("err", info.Error.Error()))
	}
	h.Log.LogAttrs(info.Request.Context(), level, "call", attrs...)
}
