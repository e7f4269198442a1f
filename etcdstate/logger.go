package etcdstate

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// phase is what etcd is doing, which says how serious its messages are.
type phase = atomic.Int32

// The phases. etcd warns of how it was configured when it starts, and calls every
// listener that it closes by itself an error.
const (
	starting = iota
	serving
	closing
)

// zapLogger returns a logger for etcd's code that writes to log.
func zapLogger(log *slog.Logger, at *phase) *zap.Logger {
	return zap.New(zapCore{log: log, at: at})
}

// zapCore is a zapcore.Core over slog.
type zapCore struct {
	log *slog.Logger
	at  *phase
}

func (c zapCore) level(l zapcore.Level) slog.Level {
	at := c.at.Load()
	switch {
	case l >= zapcore.DPanicLevel:
		return slog.LevelError
	case l >= zapcore.ErrorLevel && at != closing:
		return slog.LevelError
	case l == zapcore.WarnLevel && at == serving:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// Enabled implements zapcore.LevelEnabler.
func (c zapCore) Enabled(l zapcore.Level) bool {
	return c.log.Enabled(context.Background(), c.level(l))
}

// With implements zapcore.Core.
func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	c.log = c.log.With(attributes(fields)...)
	return c
}

// Check implements zapcore.Core.
func (c zapCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.log.Log(context.Background(), c.level(e.Level), "etcd: "+strings.TrimSpace(e.Message), attributes(fields)...)
	return nil
}

// Sync implements zapcore.Core.
func (c zapCore) Sync() error { return nil }

func attributes(fields []zapcore.Field) []any {
	encoder := zapcore.NewMapObjectEncoder()
	all := make([]any, 0, len(fields))
	for _, f := range fields {
		f.AddTo(encoder)
		all = append(all, slog.Any(f.Key, encoder.Fields[f.Key]))
	}
	return all
}
