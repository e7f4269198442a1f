package main

import (
	"bufio"
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

type remoteOptions struct {
	*env
	Details bool
}

func newRemoteCommand(e *env) *cobra.Command {
	o := &remoteOptions{env: e}
	cmd := &cobra.Command{
		Use:   "remote [-v]",
		Short: "List the remotes; add, remove and choose one",
		Long: `List the remotes: servers that have a name in the config file. A star marks the current one,
which commands talk to. With -v each has its user and host after a tab.`,
		Example: "  dm remote -v\n  dm remote add hub alice@hub.example.com\n  dm remote switch hub",
		Args:    noSubcommand,
		RunE:    e.timed(func(context.Context, []string) error { return runRemote(o) }),
	}
	cmd.Flags().BoolVarP(&o.Details, "details", "v", false, "with user and host")
	cmd.AddCommand(newRemoteAddCommand(e), newRemoteRemoveCommand(e), newRemoteSwitchCommand(e))
	return cmd
}

// remoteView is a remote as -o shows it: without its key.
type remoteView struct {
	Name    string `json:"name"`
	Current bool   `json:"current,omitempty"`
	User    string `json:"user,omitempty"`
	Host    string `json:"host,omitempty"`
	S3      bool   `json:"s3,omitempty"`
}

func runRemote(o *remoteOptions) error {
	c, err := o.loadConfig()
	if err != nil {
		return err
	}
	remotes := c.list()
	return o.show(nonNil(remotes), func() error {
		if len(remotes) == 0 {
			o.IO.say("No remotes; dm talks to the server of this machine at %s.", localSocket)
		}
		for _, r := range remotes {
			o.print(o.IO.Out, r)
		}
		return nil
	})
}

// list returns the remotes of both kinds by name.
func (c *config) list() (remotes []remoteView) {
	for name, r := range c.Remotes {
		remotes = append(remotes, remoteView{Name: name, Current: name == c.CurrentRemote, User: r.User, Host: r.address()})
	}
	for name, r := range c.S3Remotes {
		remotes = append(remotes, remoteView{Name: name, User: r.KeyID, S3: true})
	}
	slices.SortFunc(remotes, func(a, b remoteView) int { return strings.Compare(a.Name, b.Name) })
	return remotes
}

// address is the host, with its port if it is not the usual one.
func (r *remote) address() string {
	if r.Port == 0 || r.Port == apiPort {
		return r.Hostname
	}
	return net.JoinHostPort(r.Hostname, strconv.Itoa(r.Port))
}

func (o *remoteOptions) print(out *bufio.Writer, r remoteView) {
	line := star(r.Current) + termsafe.Line(r.Name)
	switch {
	case o.Details && r.S3:
		line += "\t" + termsafe.Line(r.User)
	case o.Details:
		line += "\t" + termsafe.Line(r.User+"@"+r.Host)
	}
	out.WriteString(line + "\n")
}

type remoteAddOptions struct {
	*env
	Name    string
	Address string
}

func newRemoteAddCommand(e *env) *cobra.Command {
	o := &remoteAddOptions{env: e}
	return &cobra.Command{
		Use:   "add NAME USER@HOST[:PORT]",
		Short: "Give a server a name",
		Long: `Give a server a name, after trying whether it answers. The API key is asked for, read from
standard input, taken from the file that --api-key-file names, or from DOTMESH_PASSWORD;
it never stands on the command line. The first remote becomes the current one.

A server of this machine is spoken to in clear, any other over TLS: with --ca-hash only
that certificate authority is trusted, without it those that this machine trusts. The usual
port is 32607.`,
		Example: `  dm remote add local admin@127.0.0.1 < admin-api-key
  dm remote add hub alice@hub.example.com:443 --ca-hash MFRGGZDFMZTWQ2LK...`,
		Args: args(2, 2, "a name and user@host"),
		RunE: untimed(func(ctx context.Context, args []string) error {
			o.Name, o.Address = args[0], args[1]
			return runRemoteAdd(ctx, o)
		}),
	}
}

func runRemoteAdd(ctx context.Context, o *remoteAddOptions) error {
	if _, err := dotmesh.ParseName(o.Name); err != nil {
		return err
	}
	r, err := parseRemote(o.Address)
	if err != nil {
		return err
	}
	c, err := o.loadConfig()
	if err != nil {
		return err
	}
	if c.has(o.Name) {
		return remoteExists(o.Name)
	}
	r.CAHash = o.flags.CAHash
	if r.ApiKey, err = o.key(r); err != nil {
		return err
	}
	ctx, cancel := o.deadline(ctx)
	defer cancel()
	if err := o.ping(ctx, r); err != nil {
		return err
	}
	return o.updateConfig(ctx, func(c *config) error {
		if c.has(o.Name) {
			return remoteExists(o.Name)
		}
		if c.Remotes == nil {
			c.Remotes = map[string]*remote{}
		}
		c.Remotes[o.Name] = r
		if c.CurrentRemote == "" {
			c.CurrentRemote = o.Name
		}
		return nil
	})
}

func (c *config) has(name string) bool { return c.Remotes[name] != nil || c.S3Remotes[name] != nil }

func remoteExists(name string) error {
	return dotmesh.E("dm remote", dotmesh.Exists, `there is a remote %q already; "dm remote rm %[1]s" removes it`, name)
}

func noRemote(name string) error {
	return dotmesh.E("dm remote", dotmesh.NotFound, `there is no remote %q; "dm remote" lists those there are`, name)
}

// parseRemote reads user@host[:port].
func parseRemote(address string) (*remote, error) {
	fault := func() (*remote, error) {
		return nil, usage("a remote is given as user@host or user@host:port")
	}
	user, host, ok := strings.Cut(address, "@")
	if !ok {
		return fault()
	}
	if _, err := dotmesh.ParseName(user); err != nil {
		return nil, err
	}
	r := &remote{User: user, Hostname: host}
	if name, port, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return fault()
		}
		r.Hostname, r.Port = name, int(n)
	}
	r.Hostname = strings.TrimSuffix(strings.TrimPrefix(r.Hostname, "["), "]")
	if !isHost(r.Hostname) {
		return fault()
	}
	return r, nil
}

// isHost reports whether s is an address or can be the name of a machine.
func isHost(s string) bool {
	if net.ParseIP(s) != nil {
		return true
	}
	for _, c := range s {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	return s != "" && len(s) <= 253 && s[0] != '-' && s[0] != '.'
}

// key reads the API key from wherever it was put.
func (o *remoteAddOptions) key(r *remote) (string, error) {
	if o.flags.KeyFile != "" {
		key, err := readKey(o.flags.KeyFile)
		return string(key), err
	}
	if key := o.Getenv("DOTMESH_PASSWORD"); key != "" {
		return key, nil
	}
	key, err := o.IO.ReadSecret("API key of " + r.User + " on " + r.Hostname + ": ")
	if key = strings.TrimSpace(key); key == "" {
		return "", usage("no API key was given: type it, pipe it in, or name a file with --api-key-file (%v)", orNothing(err))
	}
	return key, nil
}

func orNothing(err error) string {
	if err == nil {
		return "nothing was typed"
	}
	return err.Error()
}

// ping asks the server who the key's user is.
func (o *remoteAddOptions) ping(ctx context.Context, r *remote) error {
	s, err := o.Dial(r.endpoint())
	if err != nil {
		return err
	}
	user, err := s.Whoami(ctx)
	if dotmesh.KindOf(err) == dotmesh.Unauthenticated {
		return &dotmesh.Error{Op: "dm remote add", Kind: dotmesh.Unauthenticated, Text: "Permission denied; is the API key right?", Err: err}
	}
	if err == nil && string(user.Name) != r.User {
		return dotmesh.E("dm remote add", dotmesh.Unauthenticated, "Permission denied: that key is %s's", user.Name)
	}
	return err
}

func newRemoteRemoveCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:               "rm NAME",
		Aliases:           []string{"remove"},
		Short:             "Forget a remote and its key",
		Long:              "Forget a remote and its key. Nothing on the server changes.",
		Example:           "  dm remote rm hub",
		Args:              args(1, 1, "the name of a remote"),
		ValidArgsFunction: first(e.completeRemotes),
		RunE:              e.timed(func(ctx context.Context, args []string) error { return runRemoteRemove(ctx, e, args[0]) }),
	}
}

func runRemoteRemove(ctx context.Context, e *env, name string) error {
	return e.updateConfig(ctx, func(c *config) error {
		if !c.has(name) {
			return noRemote(name)
		}
		delete(c.Remotes, name)
		delete(c.S3Remotes, name)
		if c.CurrentRemote == name {
			c.CurrentRemote = ""
		}
		return nil
	})
}

func newRemoteSwitchCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:               "switch NAME",
		Short:             "Make a remote the current one",
		Long:              "Make a remote the current one: the server that commands talk to.",
		Example:           "  dm remote switch hub",
		Args:              args(1, 1, "the name of a remote"),
		ValidArgsFunction: first(e.completeRemotes),
		RunE:              e.timed(func(ctx context.Context, args []string) error { return runRemoteSwitch(ctx, e, args[0]) }),
	}
}

func runRemoteSwitch(ctx context.Context, e *env, name string) error {
	return e.updateConfig(ctx, func(c *config) error {
		switch {
		case c.S3Remotes[name] != nil:
			return dotmesh.E("dm remote", dotmesh.Unsupported, "%s is an S3 remote, which dots can be pushed to but commands cannot talk to", name)
		case c.Remotes[name] == nil:
			return noRemote(name)
		}
		c.CurrentRemote = name
		return nil
	})
}
