package etcdstate

import (
	"context"
	"log/slog"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapLogger returns a logger for etcd's code that writes to log. etcd is talkative, and
// calls an error what is none, such as every listener that it closes by itself; so what
// is below a panic is written at most at level most.
func zapLogger(log *slog.Logger, most slog.Level) *zap.Logger {
	return zap.New(zapCore{log: log, most: most})
}

// zapCore is a zapcore.Core over slog.
type zapCore struct {
	log  *slog.Logger
	most slog.Level
}

func (c zapCore) level(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.DPanicLevel:
		return slog.LevelError
	case l >= zapcore.ErrorLevel:
		return min(slog.LevelError, c.most)
	case l == zapcore.WarnLevel:
		return min(slog.LevelWarn, c.most)
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
