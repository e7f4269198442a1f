package api

import (
	"log/slog"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
	"github.com/gorilla/rpc/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the server's own figures, under the names that the original gave them.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec   // by method and kind of error
	duration *prometheus.HistogramVec // by method
}

// newMetrics adds the figures to a registry, which may have them from an earlier server.
func newMetrics(registry *prometheus.Registry) *metrics {
	if registry == nil {
		registry = prometheus.NewRegistry()
	}
	m := &metrics{
		registry: registry,
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dm_req_total", Help: "Calls by method and kind of error; no kind: it succeeded.",
		}, []string{"method", "kind"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dm_rpc_req_duration_seconds", Help: "How long calls took, by method.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10),
		}, []string{"method"}),
	}
	registry.MustRegister(m.calls, m.duration)
	return m
}

func (m *metrics) count(method string, err error, took time.Duration) {
	m.calls.WithLabelValues(method, string(dotmesh.KindOf(err))).Inc()
	m.duration.WithLabelValues(method).Observe(took.Seconds())
}

// audit counts a call and, if it may have changed something, writes down who made it. It
// never writes parameters: they hold messages, and may hold secrets.
func (h *handler) audit(info *rpc.RequestInfo) {
	c := callOf(info.Request.Context())
	took := time.Since(c.began)
	h.metrics.count(info.Method, info.Error, took)
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
