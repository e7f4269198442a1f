package democluster

import (
	"time"

	"dotmesh.io/dotmesh"
)

// story tells a dot's past: each of its methods happens some time before now, which the
// caller gives in the order in which it happened.
type story struct {
	c   *Cluster
	now time.Time
	dot *dot
}

const (
	day = 24 * time.Hour
	mib = 1 << 20
)

// begin tells how a dot was made.
func (c *Cluster) begin(now time.Time, ago time.Duration, namespace, name dotmesh.Name, owner dotmesh.Name, at int) *story {
	c.past = now.Add(-ago)
	full := dotmesh.DotName{Namespace: namespace, Name: name}
	id := c.newID().Derive("dot " + full.String())
	op := dotmesh.Op{Verb: dotmesh.VerbInit, By: string(owner)}
	return &story{c, now, c.newDot(full, id, c.userNamed(owner).ID, c.nodes[at], op)}
}

func (s *story) on(branch dotmesh.Name) *branch {
	b, err := s.dot.branch(branch)
	if err != nil {
		panic(err) // the story names a branch that it did not make
	}
	return b
}

// write tells that a program wrote a file.
func (s *story) write(branch dotmesh.Name, ago time.Duration, path string, f *file, wrote int64) {
	b := s.on(branch)
	s.c.past = s.now.Add(-ago)
	b.data = b.data.rewrite(b.tip.data, path, f, wrote)
	s.c.measure(b)
}

// commit tells that somebody committed.
func (s *story) commit(branch dotmesh.Name, ago time.Duration, by, message string, metadata ...string) *commit {
	b := s.on(branch)
	s.c.past = s.now.Add(-ago)
	record := dotmesh.Commit{ID: dotmesh.CommitID{UUID: s.c.newID()}, Kind: dotmesh.UserCommit, Author: by, Message: message}
	for i := 0; i+1 < len(metadata); i += 2 {
		if record.Metadata == nil {
			record.Metadata = map[string]string{}
		}
		record.Metadata[metadata[i]] = metadata[i+1]
	}
	return s.c.commit(b, record, s.entry(b, dotmesh.VerbCommit, by))
}

func (s *story) entry(b *branch, verb dotmesh.Verb, by string) dotmesh.Op {
	return dotmesh.Op{Branch: b.ID, Name: b.Name, Old: tipOf(b), Verb: verb, By: by}
}

// fork tells that somebody made a branch of what ref names, on a node.
func (s *story) fork(from dotmesh.Name, ref string, name dotmesh.Name, ago time.Duration, by string, at int) {
	b := s.on(from)
	s.c.past = s.now.Add(-ago)
	s.c.fork(s.dot, s.named(b, ref), dotmesh.BranchID{UUID: s.c.newID()}, name, s.c.nodes[at], s.entry(b, dotmesh.VerbBranch, by))
}

func (s *story) named(b *branch, ref string) *commit {
	m, err := commitOf(b, ref)
	if err != nil {
		panic(err) // the story names a commit that it did not make
	}
	return m
}

// reset tells that somebody reset a branch.
func (s *story) reset(branch dotmesh.Name, ref string, ago time.Duration, by string) {
	b := s.on(branch)
	s.c.past = s.now.Add(-ago)
	_, err := s.c.swing(swing{
		branch: b, to: s.named(b, ref), op: s.entry(b, dotmesh.VerbReset, by), why: dotmesh.StashReset, keep: keepStash,
		line: dotmesh.LineID{UUID: s.c.newID()},
	})
	if err != nil {
		panic(err)
	}
}

// takeOver tells that a node was made the master of a branch by force.
func (s *story) takeOver(branch dotmesh.Name, ago time.Duration, by string, at int) {
	b := s.on(branch)
	s.c.past = s.now.Add(-ago)
	s.c.takeOver(swing{
		branch: b, to: b.tip, op: s.entry(b, dotmesh.VerbTakeover, by), why: dotmesh.StashDiverged, master: s.c.nodes[at],
		line: dotmesh.LineID{UUID: s.c.newID()},
	})
}

// checkout tells that somebody made a branch the current one.
func (s *story) checkout(branch dotmesh.Name, ago time.Duration, by string) {
	b := s.on(branch)
	s.c.past = s.now.Add(-ago)
	op := s.entry(b, dotmesh.VerbCheckout, by)
	op.Old, op.Before = dotmesh.Tip{}, s.dot.Current
	s.dot.Current = b.ID
	s.c.note(s.dot, nil, op)
}

// usedBy tells that containers have a volume of the branch mounted, where its master is.
// Names of Docker's containers and Kubernetes' pods follow one another, each after its id.
func (s *story) usedBy(branch dotmesh.Name, subdot dotmesh.Subdot, containers ...string) {
	b := s.on(branch)
	v := dotmesh.Volume{Dot: s.dot.Name, Subdot: subdot}
	if b.ID != s.dot.Current {
		v.Branch = b.Name
	}
	a := &attachment{node: s.c.node(b.Pointer.Master), volume: v}
	for i := 0; i+1 < len(containers); i += 2 {
		a.holders = append(a.holders, dotmesh.Container{ID: containers[i], Name: containers[i+1]})
	}
	b.used = append(b.used, a)
}

// written tells that a program goes on writing to the branch.
func (s *story) written(branch dotmesh.Name, w writer) {
	w.branch = s.on(branch)
	w.next = w.every
	s.c.writers = append(s.c.writers, &w)
}

// behind tells that a node has not fetched the newest commits of a branch yet.
func (s *story) behind(branch dotmesh.Name, at, commits int) {
	b := s.on(branch)
	n := s.c.nodes[at]
	b.line.held[n.number] -= uint64(commits)
	s.c.lagging(n, b.line)
}

// without tells that a node has nothing of the dot, which is kept by others.
func (s *story) without(at int, replicas string) {
	s.dot.Replicas = replicas
	for _, b := range s.dot.branches {
		b.line.held[at] = 0
	}
}
