package main

import (
	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
)

// dial makes a client of a server. It does not call it yet.
func dial(e endpoint) (dotmesh.Service, error) {
	var user dotmesh.Name
	if e.User != "" {
		var err error
		if user, err = dotmesh.ParseName(e.User); err != nil {
			return nil, dotmesh.E("dial", dotmesh.Invalid, "the user of %s: %s", e.URL, dotmesh.Text(err))
		}
	}
	return api.NewClient(api.Remote{URL: e.URL, User: user, Key: e.Key, CAHash: e.CAHash})
}
