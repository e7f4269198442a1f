package main

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dotmesh.io/dotmesh"
)

// localSocket is where a node's own server listens, and what dm talks to when nothing
// else is configured.
const localSocket = "unix:///run/dotmesh/dm.sock"

// apiPort is the port of a server's API.
const apiPort = 32607

// env is what every command has at hand. main fills it from the process, tests from fakes.
type env struct {
	IO     *streams
	Getenv func(string) string
	Home   func() (string, error)
	Now    func() time.Time
	Dial   func(endpoint) (dotmesh.Service, error)

	flags   globals
	config  *config         // as read by this command; nil: not yet
	server  *server         // whom it talks to; nil: not chosen yet
	service dotmesh.Service // nil: not connected yet
}

// globals are the flags that every command has.
type globals struct {
	Config    string
	Host      string
	KeyFile   string
	CAHash    string
	Output    string
	Scripting bool
	Verbose   bool
	Timeout   time.Duration
}

// endpoint is where a server is and who calls it.
type endpoint struct {
	URL    string // unix:///path, http://host:port or https://host:port
	User   string // empty: whoever the socket says the caller is
	Key    dotmesh.Secret
	CAHash string
}

// server is whom a command talks to, under the name that its current dot is remembered by.
type server struct {
	Name   string
	remote bool // the name is a remote's, else an address
	endpoint
}

// configPath is where the config file is.
func (e *env) configPath() (string, error) {
	if e.flags.Config != "" {
		return e.flags.Config, nil
	}
	home, err := e.Home()
	if err != nil {
		return "", dotmesh.E("find config", dotmesh.Invalid, "no home folder is known (%v); name the config file with --config", err)
	}
	return filepath.Join(home, ".dotmesh", "config"), nil
}

// loadConfig reads the config file, once.
func (e *env) loadConfig() (*config, error) {
	if e.config != nil {
		return e.config, nil
	}
	path, err := e.configPath()
	if err != nil {
		return nil, err
	}
	e.config, err = loadConfig(path)
	return e.config, err
}

// updateConfig changes the config file.
func (e *env) updateConfig(ctx context.Context, change func(*config) error) error {
	path, err := e.configPath()
	if err != nil {
		return err
	}
	e.config = nil
	return updateConfig(ctx, path, change)
}

// whom returns whom to talk to: --host if given, else the current remote, else this
// machine's own server.
func (e *env) whom() (*server, error) {
	if e.server != nil {
		return e.server, nil
	}
	c, err := e.loadConfig()
	if err != nil {
		return nil, err
	}
	s, err := chooseServer(c, e.flags.Host)
	if err != nil {
		return nil, err
	}
	if e.flags.KeyFile != "" {
		if s.Key, err = readKey(e.flags.KeyFile); err != nil {
			return nil, err
		}
	}
	if e.flags.CAHash != "" {
		s.CAHash = e.flags.CAHash
	}
	e.server = s
	return s, nil
}

// connect returns the service of that server. It does not talk to it yet.
func (e *env) connect() (dotmesh.Service, error) {
	if e.service != nil {
		return e.service, nil
	}
	s, err := e.whom()
	if err != nil {
		return nil, err
	}
	e.service, err = e.Dial(s.endpoint)
	return e.service, err
}

func chooseServer(c *config, address string) (*server, error) {
	if address != "" {
		return parseHost(address)
	}
	if c.CurrentRemote == "" {
		return &server{Name: localSocket, endpoint: endpoint{URL: localSocket}}, nil
	}
	r := c.Remotes[c.CurrentRemote]
	if r == nil {
		return nil, dotmesh.E("find remote", dotmesh.NotFound,
			`the current remote %q is not in the config file; choose one with "dm remote switch"`, c.CurrentRemote)
	}
	return &server{Name: c.CurrentRemote, remote: true, endpoint: r.endpoint()}, nil
}

// title is what a server is called where the original named its current remote.
func (s *server) title() string {
	if s.Name == localSocket {
		return "local"
	}
	return s.Name
}

// endpoint is how to reach the remote: in clear only on this machine.
func (r *remote) endpoint() endpoint {
	e := endpoint{URL: r.Hostname, User: r.User, Key: dotmesh.Secret(r.ApiKey), CAHash: r.CAHash}
	if strings.Contains(r.Hostname, "://") {
		return e
	}
	port := r.Port
	if port == 0 {
		port = apiPort
	}
	scheme := "https://"
	if isLoopback(r.Hostname) {
		scheme = "http://"
	}
	e.URL = scheme + net.JoinHostPort(r.Hostname, strconv.Itoa(port))
	return e
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// parseHost reads an address as --host and DM_HOST take it. The user may stand before
// the host name; a key may not, since addresses are shown.
func parseHost(address string) (*server, error) {
	fault := func(reason string) (*server, error) {
		return nil, dotmesh.E("parse host", dotmesh.Invalid,
			"%s; DM_HOST and --host take unix:///path, http://host[:port] or https://[user@]host[:port]", reason)
	}
	u, err := url.Parse(address)
	if err != nil {
		return fault("that host is not an address")
	}
	s := &server{Name: address, endpoint: endpoint{URL: address}}
	if u.Scheme == "unix" {
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return fault("the socket's path must be absolute")
		}
		return s, nil
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fault("that host has none of the known schemes")
	case u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return fault("that host is not a host and a port alone")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fault("http is for this machine only, since anybody could read the key; use https")
	}
	s.User = string(dotmesh.AdminNamespace)
	if u.User != nil {
		if _, ok := u.User.Password(); ok {
			return fault("a key must not stand in the address; name a file with DM_API_KEY_FILE")
		}
		s.User = u.User.Username()
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(apiPort))
	}
	s.URL = u.Scheme + "://" + u.Host
	return s, nil
}

// readKey reads an API key from a file that nobody else may read.
func readKey(path string) (dotmesh.Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", failure("read the API key", err)
	}
	if err := checkPrivate(path, info); err != nil {
		return "", err
	}
	if info.Size() > maxLine {
		return "", dotmesh.E("read key", dotmesh.Invalid, "%s is too large to be an API key", path)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return "", failure("read the API key", err)
	}
	return dotmesh.Secret(strings.TrimSpace(string(key))), nil
}

// notFromEnvironment marks a flag that is not read from the environment.
const notFromEnvironment = "dm.not-from-environment"

// prepare fills the flags that were not given from the environment and checks those that
// every command has. It is the first thing of a command and of a completion.
func (e *env) prepare(cmd *cobra.Command) error {
	var fault error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := flagVariable(f)
		if f.Changed || name == "" || fault != nil {
			return
		}
		if value := e.Getenv(name); value != "" {
			if err := cmd.Flags().Set(f.Name, value); err != nil {
				fault = usage("%s=%s: %v", name, value, err)
			}
		}
	})
	if fault != nil {
		return fault
	}
	return e.checkOutput()
}

// flagVariable is the environment variable of a flag; empty if it has none.
func flagVariable(f *pflag.Flag) string {
	if _, not := f.Annotations[notFromEnvironment]; not || f.Name == "help" {
		return ""
	}
	return "DM_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// action is a command's work under the deadline that --timeout sets.
type action func(ctx context.Context, args []string) error

func (e *env) timed(do action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, cancel := e.deadline(cmd.Context())
		defer cancel()
		return do(ctx, args)
	}
}

// untimed is for commands that wait for people or watch for as long as they are let; they
// set a deadline for each call.
func untimed(do action) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error { return do(cmd.Context(), args) }
}

func (e *env) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if e.flags.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, e.flags.Timeout)
}
