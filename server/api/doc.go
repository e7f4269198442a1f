// Package api is the wire: the doors of a server, and the client that knocks at them.
//
// A [Server] opens doors and holds no rules. Each request that comes in is first looked
// at by its door, which decides who is asking: on the unix socket the kernel says which
// process it is, on TCP a user name and a key do. What passes is handed to the
// [dotmesh.Service] that acts for that caller, and its answer, or its error with its
// kind, goes back. Three shapes of conversation go through a door:
//
//	POST /rpc     JSON-RPC 2.0: Dotmesh.<Method> for every method of dotmesh.Service,
//	              and DotmeshRPC.<Method> as the original Dotmesh had them
//	GET /events   and the other lists that may be long: one JSON value a line
//	GET /check    and /metrics and /debug/pprof/: for those who look after the server
//
// A [Client] is a dotmesh.Service again, so whatever can use a node can use a remote one.
// It keeps the promise of the interface over a connection that may break at any moment: a
// call that changes something ends in ok, in failed, or in dotmesh.Unknown.
package api
