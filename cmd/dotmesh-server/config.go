package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// maxConfig is the size in bytes of the largest config file.
const maxConfig = 64 << 10

// Config is what the server is told, as text. Validate says whether it makes sense.
type Config struct {
	DataDir       string
	Listen        string
	Socket        string
	Storage       string
	PoolSize      string
	NodeName      string
	EtcdEndpoints string // separated by commas; empty: an etcd of the server's own
	LogFormat     string
	LogLevel      string
}

// DefaultConfig is what a server does that is told nothing.
func DefaultConfig() *Config {
	return &Config{
		DataDir:   "/var/lib/dotmesh",
		Listen:    "127.0.0.1:32607",
		Socket:    "/run/dotmesh/dm.sock",
		Storage:   "auto",
		PoolSize:  "10G",
		LogFormat: "text",
		LogLevel:  "info",
	}
}

// A setting is one field of the config under the name that it has as a flag, in the file
// and, in capitals, in the environment.
type setting struct {
	name  string
	value *string
	help  string
}

// env is the setting's name in the environment.
func (s setting) env() string {
	return "DOTMESH_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// settings are all of them: the one place to add another.
func (c *Config) settings() []setting {
	return []setting{
		{"data-dir", &c.DataDir, "directory of the server's state: its keys, registry, pool file and mounts"},
		{"listen", &c.Listen, "loopback address of the plain HTTP API; empty: none"},
		{"socket", &c.Socket, "path of the local API's unix socket"},
		{"storage", &c.Storage, "where dots are kept: " + storageForms + "; asked for once and then remembered"},
		{"pool-size", &c.PoolSize, "size of a pool file that is made, such as 10G"},
		{"node-name", &c.NodeName, "this node's name, unique in its cluster (default: the host's)"},
		{"etcd-endpoints", &c.EtcdEndpoints, "URLs of an existing etcd, separated by commas (default: one of the server's own)"},
		{"log-format", &c.LogFormat, "text or json"},
		{"log-level", &c.LogLevel, "debug, info, warn or error"},
	}
}

// configFlag names the file that settings are read from.
const configFlag = "config"

// flags adds a flag for each setting.
func (c *Config) flags(set *pflag.FlagSet) {
	set.String(configFlag, "", "YAML file with these settings, by their names (env DOTMESH_CONFIG)")
	for _, s := range c.settings() {
		set.StringVar(s.value, s.name, *s.value, s.help+" (env "+s.env()+")")
	}
}

// settle puts file, environment and flags together, the later over the earlier, and
// returns the valid result.
func (c *Config) settle(flags *pflag.FlagSet, getenv func(string) string) (*Config, error) {
	settled := DefaultConfig()
	path, _ := flags.GetString(configFlag) // it is defined, by us
	if path == "" {
		path = getenv("DOTMESH_CONFIG")
	}
	if path != "" {
		if err := settled.readFile(path); err != nil {
			return nil, err
		}
	}
	given := c.settings()
	for i, s := range settled.settings() {
		if v := getenv(s.env()); v != "" {
			*s.value = v
		}
		if flags.Changed(s.name) {
			*s.value = *given[i].value
		}
	}
	return settled, settled.Validate()
}

// readFile reads a config file.
func (c *Config) readFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return &dotmesh.Error{Op: "config", Kind: dotmesh.Invalid, Text: "cannot read the config file: " + err.Error(), Err: err}
	}
	text, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return dotmesh.Wrap("config", err)
	}
	if err := c.Read(text); err != nil {
		return dotmesh.E("config", dotmesh.Invalid, "%s: %s", path, dotmesh.Text(err))
	}
	return nil
}

// Read takes settings from the text of a config file: a YAML map from their names to
// text, or to a list for etcd-endpoints. A name that is unknown, or given twice, is
// [dotmesh.Invalid], and nothing is taken.
func (c *Config) Read(text []byte) error {
	const op = "config.Read"
	if len(text) > maxConfig {
		return dotmesh.E(op, dotmesh.Invalid, "the file is larger than %d bytes", maxConfig)
	}
	file, err := readYAML(text)
	if err != nil {
		return dotmesh.E(op, dotmesh.Invalid, "%s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	next := *c
	settings := next.settings()
	for _, name := range slices.Sorted(maps.Keys(file)) {
		node := file[name]
		i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
		if i < 0 {
			return dotmesh.E(op, dotmesh.Invalid, "there is no setting %q; there are %s", name, names(settings))
		}
		if *settings[i].value, err = textOf(&node); err != nil {
			return dotmesh.E(op, dotmesh.Invalid, "%s: %s", name, err)
		}
	}
	*c = next
	return nil
}

// readYAML reads the one map that a config file holds.
func readYAML(text []byte) (file map[string]yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&file); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there must be one document in the file")
	}
	return file, nil
}

// textOf reads a setting's value.
func textOf(node *yaml.Node) (string, error) {
	var one string
	if node.Kind == yaml.ScalarNode && node.Decode(&one) == nil {
		return one, nil
	}
	var list []string
	if node.Kind == yaml.SequenceNode && node.Decode(&list) == nil {
		return strings.Join(list, ","), nil
	}
	return "", fmt.Errorf("line %d: the value must be text or a list of texts", node.Line)
}

func names(settings []setting) string {
	all := make([]string, len(settings))
	for i, s := range settings {
		all[i] = s.name
	}
	return strings.Join(all, ", ")
}

// Validate says which setting makes no sense, and what would. It looks at nothing but
// the settings.
func (c *Config) Validate() error {
	for _, check := range []func() error{
		func() error { _, socket := etcdPaths(c.DataDir); return usablePath("data-dir", c.DataDir, socket) },
		func() error { return usablePath("socket", c.Socket, c.Socket) },
		c.checkListen,
		func() error { _, err := parseStorage(c.Storage); return err },
		func() error { _, err := parseSize(c.PoolSize); return err },
		c.checkNodeName,
		c.checkEtcd,
		func() error { return oneOf("log-format", c.LogFormat, "text", "json") },
		func() error { return oneOf("log-level", c.LogLevel, "debug", "info", "warn", "error") },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func invalid(name, value, fix string) error {
	return dotmesh.E("config.Validate", dotmesh.Invalid, "%s: invalid value %q: %s", name, value, fix)
}

// maxSocket is the length of the longest path that a unix socket can have.
const maxSocket = 107

// usablePath checks a path and the socket that will be made at or below it.
func usablePath(name, path, socket string) error {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return invalid(name, path, "it must be an absolute path")
	}
	if len(socket) > maxSocket {
		return invalid(name, path, fmt.Sprintf("it must be shorter by %d bytes, since unix sockets have short paths", len(socket)-maxSocket))
	}
	return nil
}

func oneOf(name, value string, allowed ...string) error {
	if !slices.Contains(allowed, value) {
		return invalid(name, value, "it must be "+strings.Join(allowed, " or "))
	}
	return nil
}

func (c *Config) checkListen() error {
	if c.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return invalid("listen", c.Listen, "it must be host:port, such as 127.0.0.1:32607")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return invalid("listen", c.Listen, "the port must be a number up to 65535")
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return invalid("listen", c.Listen, "this door is not encrypted, so the address must be 127.0.0.1, ::1 or localhost")
	}
	return nil
}

func (c *Config) checkNodeName() error {
	if c.NodeName == "" || nodeNameOf(c.NodeName) == c.NodeName {
		return nil
	}
	return invalid("node-name", c.NodeName, `it must be up to 32 letters a to z, digits and "-", and begin with a letter or digit`)
}

// nodeNameOf makes a node's name of a host's: what is before its first dot, in the
// letters that a node's name may have.
func nodeNameOf(host string) string {
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	name := strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			return r
		}
		return '-'
	}, host)
	name = strings.TrimLeft(name, "-")
	return name[:min(len(name), 32)]
}

func (c *Config) checkEtcd() error {
	for _, endpoint := range c.endpoints() {
		scheme, rest, _ := strings.Cut(endpoint, "://")
		if rest == "" || !slices.Contains([]string{"http", "https", "unix"}, scheme) {
			return invalid("etcd-endpoints", endpoint, "each must be a URL such as https://etcd:2379 or unix:///path")
		}
	}
	return nil
}

func (c *Config) endpoints() []string {
	if c.EtcdEndpoints == "" {
		return nil
	}
	return strings.Split(c.EtcdEndpoints, ",")
}

// parseSize reads a number of bytes with an optional K, M, G or T, or KiB and so on, for
// their binary multiples.
func parseSize(s string) (int64, error) {
	number, shift := strings.TrimSuffix(s, "iB"), 0
	if i := strings.IndexByte("KMGT", lastByte(number)); i >= 0 {
		number, shift = number[:len(number)-1], 10*(i+1)
	}
	n, err := strconv.ParseInt(number, 10, 64)
	const smallest, largest = 256 << 20, 1 << 50
	if err != nil || number[0] == '+' || n > largest>>shift || n<<shift < smallest {
		return 0, invalid("pool-size", s, "it must be a number of bytes of at least 256M, such as 10G")
	}
	return n << shift, nil
}

func lastByte(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}

// newLogger logs as the config says.
func newLogger(c *Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // validated
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: shortTime}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// shortTime writes durations as people do, and times without what nobody needs.
func shortTime(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().Round(time.Microsecond).String())
	}
	return a
}
