package api_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

// original is a client made for the original Dotmesh.
type original struct {
	*testing.T
	unix string
}

// call returns a method's result as it came, or its error's message.
func (o original) call(method, params string) (result json.RawMessage, message string) {
	o.Helper()
	body := askLocally(o.T, o.unix, "POST", "/rpc", fmt.Sprintf(`{"jsonrpc":"2.0","method":"DotmeshRPC.%s","params":%s,"id":1}`, method, params))
	var answer struct {
		Result json.RawMessage
		Error  *struct {
			Code    int
			Message string
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		o.Fatalf("%s: %v in %s", method, err, body)
	}
	if answer.Error != nil {
		if answer.Error.Code != -32000 {
			o.Errorf("%s: error code %d, want -32000", method, answer.Error.Code)
		}
		return nil, answer.Error.Message
	}
	return answer.Result, ""
}

// get decodes a method's result.
func get[T any](o original, method, params string) (result T) {
	o.Helper()
	text, message := o.call(method, params)
	if message != "" {
		o.Fatalf("%s: %s", method, message)
	}
	if err := json.Unmarshal(text, &result); err != nil {
		o.Fatalf("%s: %v in %s", method, err, text)
	}
	return result
}

func (o original) want(method, params, result string) {
	o.Helper()
	if got, message := o.call(method, params); string(got) != result {
		o.Errorf("%s: got %s %s, want %s", method, got, message, result)
	}
}

// refused wants an error whose message holds words.
func (o original) refused(method, params, words string) {
	o.Helper()
	if got, message := o.call(method, params); message == "" || !strings.Contains(message, words) {
		o.Errorf("%s: got %s and the error %q, want one with %q", method, got, message, words)
	}
}

type snapshot struct {
	Id       string
	Metadata map[string]string
}

const legacyShop = `{"Namespace":"admin","Name":"shop"}`

func TestOriginalsClientsSession(t *testing.T) {
	unix, _ := serve(t, node(t))
	o := original{t, unix}

	o.want("Ping", `{}`, "true")
	o.want("CheckNameIsValid", `{"Namespace":"admin","Name":"shop"}`, `""`)
	if reason := get[string](o, "CheckNameIsValid", `{"Namespace":"admin","Name":"a/b"}`); !strings.HasPrefix(reason, "invalid dot name") {
		t.Errorf("the reason is %q", reason)
	}
	o.want("Exists", legacyShop, `""`)
	o.refused("Lookup", legacyShop, "No such filesystem")
	o.want("Create", legacyShop, "true")
	o.refused("Create", legacyShop, "shop exists already")
	o.refused("Create", `{"Namespace":"admin","Name":"../x"}`, "invalid dot name")
	id := get[string](o, "Lookup", legacyShop)
	o.want("Exists", `{"Namespace":"admin","Name":"shop","Branch":"none"}`, `""`)

	// Files reach the commits, and metadata come back as they went.
	path := get[string](o, "Procure", legacyShop)
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "1")
	if got := get[struct {
		Files []struct {
			Change   int
			Filename string
		}
	}](o, "Diff", `{"FilesystemID":"`+id+`"}`); len(got.Files) != 1 || got.Files[0].Change != 1 || got.Files[0].Filename != "a" {
		t.Errorf("the diff is %+v", got)
	}
	own := dotmesh.NewUUID().String()
	first := get[string](o, "Commit", `{"Namespace":"admin","Name":"shop","Branch":"","Message":"one","Metadata":{"k":"v=w,x","#commit-id":"`+own+`"}}`)
	if first != own {
		t.Errorf("the commit is %s, want the id that was asked for, %s", first, own)
	}
	o.refused("Commit", `{"Namespace":"admin","Name":"shop","Message":"m","Metadata":{"Key":"v"}}`, "Metadata field names must start with lowercase characters: Key")
	commits := get[[]snapshot](o, "Commits", legacyShop)
	if len(commits) != 2 || commits[0].Metadata["type"] != "dotmesh.initial" || commits[0].Metadata["message"] != "Initial commit" {
		t.Fatalf("the commits are %+v", commits)
	}
	if m := commits[1].Metadata; commits[1].Id != first || m["author"] != "admin" || m["message"] != "one" || m["k"] != "v=w,x" || len(m["timestamp"]) != 19 {
		t.Errorf("the commit is %+v", commits[1])
	}

	// A branch, and what is on it.
	o.want("Branch", `{"Namespace":"admin","Name":"shop","SourceBranch":"master","NewBranchName":"try","SourceCommitId":"`+first+`"}`, "true")
	o.want("Branches", legacyShop, `["try"]`)
	o.want("SwitchContainers", `{"Namespace":"admin","Name":"shop","NewBranchName":"try"}`, "true")
	write("a", "2")
	get[string](o, "Commit", `{"Namespace":"admin","Name":"shop","Branch":"try","Message":"two"}`)
	if n := len(get[[]snapshot](o, "Commits", legacyShop)); n != 2 {
		t.Errorf("master has %d commits, want 2: the empty branch is master, not the current one", n)
	}
	side := get[string](o, "Lookup", `{"Namespace":"admin","Name":"shop","Branch":"try"}`)
	if n := len(get[[]snapshot](o, "CommitsById", `"`+side+`"`)); n != 3 {
		t.Errorf("the branch has %d commits, want 3", n)
	}
	type volume struct {
		Id, Branch, Master string
		Name               struct{ Namespace, Name string }
		CommitCount        int
		ServerStates       map[string]string
	}
	if v := get[volume](o, "Get", `["`+side+`"]`); v.Id != side || v.Branch != "try" || v.CommitCount != 3 || v.ServerStates[v.Master] != "active" {
		t.Errorf("the branch is %+v", v)
	}
	if v := get[map[string]map[string]volume](o, "List", `{}`)["admin"]["shop"]; v.Id != id || v.Branch != "" || v.CommitCount != 2 {
		t.Errorf("the list shows %+v, want the master branch whichever is current", v)
	}
	all := get[struct {
		Dots []struct {
			MasterBranch  volume
			OtherBranches []volume
			Owner         struct{ Name string }
		}
	}](o, "AllDotsAndBranches", `{}`)
	if len(all.Dots) != 1 || all.Dots[0].MasterBranch.Id != id || len(all.Dots[0].OtherBranches) != 1 || all.Dots[0].Owner.Name != "admin" {
		t.Errorf("all dots are %+v", all)
	}

	// Back to where it was.
	o.want("SwitchContainers", `{"Namespace":"admin","Name":"shop","NewBranchName":""}`, "true")
	write("b", "3")
	o.want("Rollback", `{"Namespace":"admin","Name":"shop","Branch":"","SnapshotId":"`+commits[0].Id+`"}`, "true")
	if n := len(get[[]snapshot](o, "Commits", legacyShop)); n != 1 {
		t.Errorf("after the rollback there are %d commits, want 1", n)
	}
	o.want("Branches", legacyShop, `["try"]`)

	// A backup brings back what is deleted after it.
	dump, message := o.call("DumpEtcd", `{"Prefix":""}`)
	if message != "" {
		t.Fatal(message)
	}
	o.want("Create", `{"Namespace":"admin","Name":"later"}`, "true")
	quoted, err := json.Marshal(string(dump))
	if err != nil {
		t.Fatal(err)
	}
	o.want("RestoreEtcd", `{"Prefix":"","Dump":`+string(quoted)+`}`, "true")
	o.want("Exists", `{"Namespace":"admin","Name":"later"}`, `""`)
	o.want("Exists", legacyShop, `"`+id+`"`)
	o.refused("RestoreEtcd", `{"Dump":"{\"version\":\"v1\",\"users\":[]}"}`, "made by the original Dotmesh")

	o.want("Delete", legacyShop, "true")
	o.refused("Delete", legacyShop, "No such filesystem")
	o.refused("Get", `"`+id+`"`, "No such filesystem")
	o.refused("Fork", `{"MasterBranchID":"`+id+`"}`, "not on this server yet")
	o.refused("GetTransfer", `"`+id+`"`, "not on this server yet")
}

func TestOriginalsClientWhoIsNotTheOwner(t *testing.T) {
	c := newCast(t)
	names := c.stage(t)
	for column, words := range map[string]string{"stranger": "No such filesystem", "collaborator": "You are not the owner"} {
		body := ask(t, c, column, "POST", "/rpc", names.Replace(`{"jsonrpc":"2.0","id":1,"method":"DotmeshRPC.Delete","params":{"Namespace":"owner","Name":"$NAME"}}`))
		if !strings.Contains(body, words) {
			t.Errorf("%s is told %s, want %q", column, body, words)
		}
	}
}
