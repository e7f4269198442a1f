package main

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type debugOptions struct {
	*env
	Method string
	Param  string
	Parse  bool
}

func newDebugCommand(e *env) *cobra.Command {
	o := &debugOptions{env: e}
	cmd := &cobra.Command{
		Use:   "debug METHOD [PARAMETER]",
		Short: "Call a method of the server's API and print the answer",
		Long: `Call a method of the server's API and print its answer as JSON. A method without a prefix
is one of DotmeshRPC, which clients made for the original Dotmesh use; docs/api.md lists
them all. The parameter is a text, or with --parse-json any JSON value.`,
		Example: `  dm debug Ping
  dm debug Dotmesh.Version
  dm debug Branches --parse-json '{"Namespace":"admin","Name":"shop"}'`,
		Args: args(1, 2, "a method and perhaps a parameter"),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Method, o.Param = args[0], ""
			if len(args) > 1 {
				o.Param = args[1]
			}
			return runDebug(ctx, o, len(args) > 1)
		}),
	}
	cmd.Flags().BoolVar(&o.Parse, "parse-json", false, "the parameter is JSON")
	return cmd
}

// rawCaller is a service that can also be called by a method's name.
type rawCaller interface {
	Call(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error)
}

func runDebug(ctx context.Context, o *debugOptions, given bool) error {
	var params json.RawMessage
	switch {
	case o.Parse && given:
		if !json.Valid([]byte(o.Param)) {
			return usage("that parameter is not JSON")
		}
		params = json.RawMessage(o.Param)
	case given:
		var err error
		if params, err = json.Marshal(o.Param); err != nil {
			return failure("encode the parameter", err)
		}
	}
	s, err := o.connect()
	if err != nil {
		return err
	}
	caller, ok := s.(rawCaller)
	if !ok {
		return dotmesh.E("dm debug", dotmesh.Unsupported, "this connection cannot call methods by name")
	}
	method := o.Method
	if !strings.Contains(method, ".") {
		method = "DotmeshRPC." + method
	}
	answer, err := caller.Call(ctx, method, params)
	if err != nil {
		return err
	}
	if o.flags.Output == formatYAML {
		return writeYAML(o.IO.Out, answer)
	}
	return writeJSON(o.IO.Out, answer)
}
