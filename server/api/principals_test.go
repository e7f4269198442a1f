package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
)

// columns are the callers of the table: nobody, a user whom the dot is not shared with, a
// collaborator, the dot's owner, and the administrator at the local socket.
var columns = []string{"nobody", "stranger", "collaborator", "owner", "admin"}

// verdict is the kind of error that each column gets; the empty kind: it may.
type verdict [5]dotmesh.Kind

const (
	may = dotmesh.Kind("")
	un  = dotmesh.Unauthenticated
	nf  = dotmesh.NotFound
	no  = dotmesh.Denied
	not = dotmesh.Unsupported
)

// The verdicts that most methods have.
var (
	anyone   = verdict{un, may, may, may, may}
	readers  = verdict{un, nf, may, may, may} // who may see the dot; to others there is none
	owners   = verdict{un, nf, no, may, may}
	hostOnly = verdict{un, nf, no, no, may} // what touches the node itself
	admins   = verdict{un, no, no, no, may}
	nobody   = verdict{un, not, not, not, not} // not on this server yet
)

// rule is a row of the table: a method, parameters that make sense for it, and who may.
// In the parameters $NAME stands for a dot of the namespace "owner" that each try gets
// for itself and that has a file, $ID for its id, $COMMIT for its initial commit, $EPOCH for its master
// branch's epoch, $NODE for the node, $USER for the stranger's id and $ENTRIES for all of
// the registry.
type rule struct {
	params string
	who    verdict
}

const (
	dotParam    = `{"namespace":"owner","name":"$NAME"}`
	ofDot       = `{"dot":` + dotParam + `}`
	ofSide      = `{"dot":` + dotParam + `,"branch":"side"}`
	legacyDot   = `{"Namespace":"owner","Name":"$NAME"}`
	legacyOwner = `{"MasterBranchID":"$ID","Collaborator":"stranger"}`
)

// rules are the table: every registered method has its row.
func rules() map[string]rule {
	return map[string]rule{
		"Dotmesh.Version":        {`null`, anyone},
		"Dotmesh.Whoami":         {`null`, anyone},
		"Dotmesh.Dots":           {`null`, anyone},
		"Dotmesh.Dot":            {dotParam, readers},
		"Dotmesh.CreateDot":      {`{"dot":{"namespace":"owner","name":"$NAME-new"}}`, verdict{un, no, no, may, may}},
		"Dotmesh.ForkDot":        {`{"from":` + ofDot + `,"dot":{"namespace":"owner","name":"$NAME-new"}}`, verdict{un, nf, no, not, not}},
		"Dotmesh.DeleteDot":      {ofDot, owners},
		"Dotmesh.SetDot":         {`{"dot":` + dotParam + `,"expires":3600000000000}`, owners},
		"Dotmesh.CreateBranch":   {`{"from":` + ofDot + `,"name":"new"}`, readers},
		"Dotmesh.DeleteBranch":   {ofSide, owners},
		"Dotmesh.Checkout":       {ofSide, readers},
		"Dotmesh.Commit":         {`{"dot":` + dotParam + `,"message":"m"}`, readers},
		"Dotmesh.Log":            {ofDot, readers},
		"Dotmesh.Reset":          {`{"dot":` + dotParam + `,"ref":"HEAD^"}`, owners},
		"Dotmesh.Discard":        {ofDot, owners},
		"Dotmesh.DeleteCommit":   {`{"dot":` + dotParam + `,"ref":"HEAD^"}`, owners},
		"Dotmesh.ReadFile":       {`{"dot":` + dotParam + `,"path":"__default__/file"}`, readers},
		"Dotmesh.Undo":           {ofDot, owners},
		"Dotmesh.Ops":            {ofDot, readers},
		"Dotmesh.Status":         {ofDot, readers},
		"Dotmesh.Mount":          {`{"volume":` + ofDot + `}`, admins},
		"Dotmesh.Unmount":        {`{"volume":` + ofDot + `}`, admins},
		"Dotmesh.MountCommit":    {ofDot, admins},
		"Dotmesh.Takeover":       {`{"dot":` + dotParam + `,"epoch":$EPOCH}`, verdict{un, no, no, no, dotmesh.Conflict}},               // there is no other node
		"Dotmesh.Move":           {`{"dot":` + dotParam + `,"node":"$NODE"}`, verdict{un, nf, no, dotmesh.Conflict, dotmesh.Conflict}}, // it is there
		"Dotmesh.Transfers":      {`null`, anyone},
		"Dotmesh.CancelTransfer": {`{"id":"$ID"}`, verdict{un, nf, nf, nf, nf}}, // there is none
		"Dotmesh.RetryTransfer":  {`{"id":"$ID"}`, verdict{un, nf, nf, nf, nf}},
		"Dotmesh.Nodes":          {`null`, anyone},
		"Dotmesh.Cluster":        {`null`, admins},
		"Dotmesh.Drain":          {`{"node":"$NODE"}`, verdict{un, no, no, no, not}},
		"Dotmesh.CreateToken":    {`{"voter":true}`, verdict{un, no, no, no, not}},
		"Dotmesh.RevokeToken":    {`{"id":"$ID"}`, verdict{un, no, no, no, not}},
		"Dotmesh.CreateUser":     {`{"name":"$NAME-user","password":"long enough"}`, admins},
		"Dotmesh.FindUser":       {`{"name":"stranger"}`, admins},
		"Dotmesh.SetUser":        {`{"user":"$USER","email":"s@example.com"}`, admins},
		"Dotmesh.ResetKey":       {`null`, admins}, // the others came with a key
		"Dotmesh.Export":         {`null`, admins},
		"Dotmesh.Import":         {`{"entries":$ENTRIES}`, admins},
		"Dotmesh.Recover":        {`null`, verdict{un, no, no, no, dotmesh.Conflict}}, // nothing is lost
		"Dotmesh.State":          {`{"prefix":"node"}`, admins},

		"DotmeshRPC.Ping":                           {`{}`, anyone},
		"DotmeshRPC.Version":                        {`{}`, anyone},
		"DotmeshRPC.Config":                         {`{}`, admins},
		"DotmeshRPC.CurrentUser":                    {`{}`, anyone},
		"DotmeshRPC.AuthenticatedUser":              {`{}`, admins}, // the others came with a key
		"DotmeshRPC.GetApiKey":                      {`{}`, verdict{un, may, may, may, not}},
		"DotmeshRPC.ResetApiKey":                    {`{}`, admins},
		"DotmeshRPC.UpdatePassword":                 {`{"NewPassword":"long enough"}`, admins},
		"DotmeshRPC.RegisterNewUser":                {`{"Name":"$NAME-user","Email":"n@example.com","Password":"long enough"}`, admins},
		"DotmeshRPC.UpdateUserPassword":             {`{"Id":"$USER","NewPassword":"long enough"}`, admins},
		"DotmeshRPC.UserFromName":                   {`"stranger"`, admins},
		"DotmeshRPC.UserFromEmail":                  {`{"Email":"stranger@example.com"}`, admins},
		"DotmeshRPC.UserFromCustomerId":             {`"17"`, verdict{un, no, no, no, nf}}, // nobody has it
		"DotmeshRPC.SetUserEmail":                   {`{"Id":"$USER","Email":"stranger@example.com"}`, admins},
		"DotmeshRPC.SetUserMetadataField":           {`{"Id":"$USER","Field":"a","Value":"b"}`, admins},
		"DotmeshRPC.DeleteUserMetadataField":        {`{"Id":"$USER","Field":"a"}`, admins},
		"DotmeshRPC.List":                           {`{}`, anyone},
		"DotmeshRPC.ListWithContainers":             {`{}`, anyone},
		"DotmeshRPC.Get":                            {`"$ID"`, readers},
		"DotmeshRPC.AllDotsAndBranches":             {`{}`, anyone},
		"DotmeshRPC.Create":                         {`{"Namespace":"owner","Name":"$NAME-new"}`, verdict{un, no, no, may, may}},
		"DotmeshRPC.Exists":                         {legacyDot, anyone}, // who may not see it is told that there is none
		"DotmeshRPC.Lookup":                         {legacyDot, readers},
		"DotmeshRPC.CheckNameIsValid":               {legacyDot, anyone},
		"DotmeshRPC.Delete":                         {legacyDot, owners},
		"DotmeshRPC.AddCollaborator":                {legacyOwner, owners},
		"DotmeshRPC.RemoveCollaborator":             {legacyOwner, owners},
		"DotmeshRPC.GetReplicationLatencyForBranch": {legacyDot, readers},
		"DotmeshRPC.LastModified":                   {legacyDot, readers},
		"DotmeshRPC.Diff":                           {`{"FilesystemID":"$ID"}`, readers},
		"DotmeshRPC.Commits":                        {legacyDot, readers},
		"DotmeshRPC.CommitsById":                    {`"$ID"`, readers},
		"DotmeshRPC.Commit":                         {`{"Namespace":"owner","Name":"$NAME","Message":"m"}`, readers},
		"DotmeshRPC.Rollback":                       {`{"Namespace":"owner","Name":"$NAME","SnapshotId":"$COMMIT"}`, owners},
		"DotmeshRPC.Branches":                       {legacyDot, readers},
		"DotmeshRPC.Branch":                         {`{"Namespace":"owner","Name":"$NAME","SourceBranch":"master","NewBranchName":"new","SourceCommitId":"$COMMIT"}`, readers},
		"DotmeshRPC.MountCommit":                    {`{"FilesystemId":"$ID","CommitId":"$COMMIT"}`, hostOnly},
		"DotmeshRPC.Procure":                        {legacyDot, admins},
		"DotmeshRPC.SwitchContainers":               {`{"Namespace":"owner","Name":"$NAME","NewBranchName":"side"}`, readers},
		"DotmeshRPC.Containers":                     {legacyDot, readers},
		"DotmeshRPC.ContainersById":                 {`"$ID"`, readers},
		"DotmeshRPC.ForceBranchMasterById":          {`{"FilesystemId":"$ID","Master":"$NODE"}`, verdict{un, nf, no, no, dotmesh.Conflict}},
		"DotmeshRPC.DumpInternalState":              {`"node"`, admins},
		"DotmeshRPC.DumpEtcd":                       {`{"Prefix":""}`, admins},
		"DotmeshRPC.RestoreEtcd":                    {`{"Prefix":"","Dump":{"dotmesh_entries":$ENTRIES}}`, admins},

		"DotmeshRPC.Transfer":                       {`{}`, nobody},
		"DotmeshRPC.GetTransfer":                    {`"$ID"`, nobody},
		"DotmeshRPC.S3Transfer":                     {`{}`, nobody},
		"DotmeshRPC.RegisterTransfer":               {`{}`, nobody},
		"DotmeshRPC.RegisterFilesystem":             {`{}`, nobody},
		"DotmeshRPC.DeducePathToTopLevelFilesystem": {`{}`, nobody},
		"DotmeshRPC.PredictSize":                    {`{}`, nobody},
		"DotmeshRPC.StashAfter":                     {`{}`, nobody},
		"DotmeshRPC.Fork":                           {`{}`, nobody},
		"DotmeshRPC.SetDebugFlag":                   {`{}`, nobody},

		"GET /dots":                     {``, anyone},
		"GET /export":                   {``, admins},
		"GET /metrics":                  {``, anyone},
		"POST /diff":                    {ofDot, readers},
		"POST /checks":                  {ofDot, owners},
		"GET /diff/owner:$NAME":         {``, readers},
		"GET /diff/owner:$NAME/$COMMIT": {``, readers},
	}
}

// cast is a node with the table's callers.
type cast struct {
	admin     dotmesh.Service
	owner     dotmesh.Service
	unix, tcp string
	keys      map[string]string // of the users, by column
	stranger  dotmesh.User
	node      dotmesh.NodeID
	made      int
}

func newCast(t *testing.T) *cast {
	c := &cast{keys: map[string]string{}}
	c.unix, c.tcp = serve(t, node(t))
	c.admin = connect(t, api.Remote{URL: c.unix})
	version, err := c.admin.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.node = version.Node
	for _, name := range columns[1:4] {
		u, key, err := c.admin.CreateUser(t.Context(), dotmesh.CreateUser{Name: dotmesh.Name(name), Email: name + "@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		c.keys[name] = string(key)
		if name == "stranger" {
			c.stranger = u
		}
	}
	c.owner = connect(t, api.Remote{URL: c.tcp, User: "owner", Key: dotmesh.Secret(c.keys["owner"])})
	return c
}

// stage makes a dot for one try and returns what the parameters may name of it.
func (c *cast) stage(t *testing.T) *strings.Replacer {
	t.Helper()
	c.made++
	dot := dotmesh.DotName{Namespace: "owner", Name: dotmesh.Name(fmt.Sprintf("dot%d", c.made))}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := c.owner.CreateDot(t.Context(), dotmesh.CreateDot{Dot: dot})
	check(err)
	volume := dotmesh.MountRequest{Volume: dotmesh.Volume{Dot: dot, Subdot: dotmesh.DefaultSubdot}}
	at, err := c.admin.Mount(t.Context(), volume)
	check(err)
	check(os.WriteFile(filepath.Join(at.Path, "file"), nil, 0o600))
	check(c.admin.Unmount(t.Context(), volume))
	for _, message := range []string{"one", "two"} {
		_, err = c.owner.Commit(t.Context(), dotmesh.CommitRequest{Dot: dot, Message: message})
		check(err)
	}
	_, err = c.owner.CreateBranch(t.Context(), dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: dot}, Name: "side"})
	check(err)
	_, err = c.owner.SetDot(t.Context(), dotmesh.SetDot{Dot: dot, AddCollaborator: "collaborator"})
	check(err)
	exported, err := c.admin.Export(t.Context())
	check(err)
	entries, err := json.Marshal(exported)
	check(err)
	return strings.NewReplacer("$NAME", string(dot.Name), "$ID", d.ID.String(), "$COMMIT", d.Branch.Pointer.Head.String(),
		"$EPOCH", fmt.Sprint(d.Branch.Pointer.Epoch), "$NODE", string(c.node), "$USER", c.stranger.ID.String(), "$ENTRIES", string(entries))
}

// try calls a method as a column and returns the kind of error that it ends in.
func (c *cast) try(t *testing.T, column, method, params string) dotmesh.Kind {
	t.Helper()
	name, path, http1 := strings.Cut(method, " ")
	if !http1 {
		name, path = http.MethodPost, "/rpc"
		params = fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)
	}
	body := ask(t, c, column, name, path, params)
	var answer struct {
		Error *struct{ Data struct{ Kind dotmesh.Kind } }
	}
	// A stream's error is in its only line; whatever else is no object is no error.
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error == nil {
		return may
	}
	return answer.Error.Data.Kind
}

// ask sends a request as a column.
func ask(t *testing.T, c *cast, column, method, path, body string) string {
	t.Helper()
	if column == "admin" {
		return askLocally(t, c.unix, method, path, body)
	}
	_, text := raw(t, c.tcp+path, func(r *http.Request) {
		r.Method = method
		r.Header.Del("Authorization")
		if key, ok := c.keys[column]; ok {
			r.SetBasicAuth(column, key)
		}
	}, body)
	return text
}

func TestWhoMayCallWhat(t *testing.T) {
	table := rules()
	for method := range api.Methods() {
		if _, ok := table[method]; !ok {
			t.Errorf("%s is registered and has no row in the table", method)
		}
	}
	for _, method := range slices.Sorted(maps.Keys(table)) {
		row := table[method]
		t.Run(strings.ReplaceAll(method, "/", ":"), func(t *testing.T) {
			if !strings.Contains(method, " ") && api.Methods()[method][0] == nil {
				t.Fatal("there is no such method")
			}
			t.Parallel()
			c := newCast(t) // some rows change everything
			for i, column := range columns {
				names := c.stage(t)
				if got := c.try(t, column, names.Replace(method), names.Replace(row.params)); got != row.who[i] {
					t.Errorf("%s: got %q, want %q", column, got, row.who[i])
				}
			}
		})
	}
}

// askLocally sends a request through the local door.
func askLocally(t testing.TB, unix, method, path, body string) string {
	t.Helper()
	transport := localTransport(unix)
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(context.Background(), method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	_, text := roundTrip(t, transport, r)
	return text
}
