package main

import (
	"net/http"
	"net/http/pprof"
	"time"

	"dotmesh.io/dotmesh"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are the server's figures, under the names that the original gave them.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dm_req_total", Help: "Calls by method and kind of error; no kind: it succeeded.",
		}, []string{"method", "kind"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dm_rpc_req_duration_seconds", Help: "How long calls took, by method.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10),
		}, []string{"method"}),
	}
	m.registry.MustRegister(m.calls, m.duration, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(method string, kind dotmesh.Kind, took time.Duration) {
	m.calls.WithLabelValues(method, string(kind)).Inc()
	m.duration.WithLabelValues(method).Observe(took.Seconds())
}

// watchPool adds the pool's figures, measured whenever somebody asks.
func (m *metrics) watchPool(usage func() (dotmesh.PoolUsage, error)) {
	gauge := func(name, help string, value func(dotmesh.PoolUsage) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			u, err := usage()
			if err != nil || u.Size == 0 {
				return -1
			}
			return value(u)
		}))
	}
	gauge("dm_pool_usage_percentage", "How full the pool is, in percent; -1: not known.",
		func(u dotmesh.PoolUsage) float64 { return 100 * float64(u.Size-u.Free) / float64(u.Size) })
	gauge("dm_pool_size_bytes", "The pool's size; -1: not known.",
		func(u dotmesh.PoolUsage) float64 { return float64(u.Size) })
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// profiles answers /debug/pprof/.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
