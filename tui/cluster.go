package tui

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
	"dotmesh.io/dotmesh/tui/feed"
)

// cluster is the screen of the cluster as a whole.
type cluster struct {
	still
	u             *ui
	width, height int
	status        dotmesh.ClusterStatus
	known         bool
	err           error
	reading       bool
	at            int // the first line that is seen
}

func newCluster(u *ui) *cluster { return &cluster{u: u} }

func (c *cluster) resize(width, height int) { c.width, c.height = width, height }

// enter reads the cluster anew.
func (c *cluster) enter() tea.Cmd {
	if c.reading {
		return nil
	}
	c.reading = true
	return fetch(c.u, func(ctx context.Context, s dotmesh.Service) (dotmesh.ClusterStatus, error) {
		return s.Cluster(ctx)
	}, func(_ *ui, status dotmesh.ClusterStatus, err error) tea.Cmd {
		c.reading, c.err = false, err
		if err == nil {
			c.status, c.known = status, true
		}
		return nil
	})
}

func (c *cluster) take(*feed.Picture) tea.Cmd { return nil }

func (c *cluster) lines() []string {
	text := c.text()
	c.at = max(min(c.at, len(text)-c.height), 0)
	return fill(text[c.at:], c.width, c.height, c.u.look.cut)
}

func (c *cluster) text() []string {
	switch {
	case c.err != nil:
		return []string{"", c.u.look.fault.Render("  ! " + termsafe.Brief(errorText(c.err))), "", "  a makes, joins or upgrades a cluster"}
	case !c.known:
		return []string{"", "  reading …"}
	}
	text := slices.Concat(c.about(), c.voters(), c.certificates(), c.tokens())
	return append(text, "", "  a plans init, join, upgrade or reset, and does it step by step")
}

func (c *cluster) about() []string {
	s, l := &c.status, c.u.look
	quorum := l.good.Render("yes, changes are possible")
	if !s.Quorum {
		quorum = l.fault.Render("! no: nothing can be changed now")
	}
	return []string{
		"",
		"  " + l.title.Render("Cluster ") + s.ID.String() + "  made " + when(s.Created, c.u.o.Now()),
		"  feature level " + strconv.Itoa(s.Feature) + "   voters " + strconv.Itoa(s.Voters) + "   quorum " + quorum,
	}
}

// part begins a part of the screen.
func (c *cluster) part(title string) []string {
	return []string{"", "  " + c.u.look.title.Render(title)}
}

func (c *cluster) voters() []string {
	text := c.part("Voters")
	for i := range c.u.pic.Nodes {
		if n := &c.u.pic.Nodes[i]; n.Voter {
			text = append(text, "  "+fit(string(n.Name), 20, c.u.look.cut)+nodeState(n))
		}
	}
	return text
}

func (c *cluster) certificates() []string {
	l, text := c.u.look, c.part("Certificates")
	if len(c.status.Certificates) == 0 {
		return append(text, l.dim.Render("  none: the nodes of this cluster do not talk to each other yet"))
	}
	for _, cert := range c.status.Certificates {
		line := "  " + fit(termsafe.Brief(cert.Name), 20, l.cut) + "until " + cert.Expires.Format(time.DateOnly) + "  " + termsafe.Brief(cert.Fingerprint)
		if cert.Expires.Sub(c.u.o.Now()) < 30*24*time.Hour {
			line = l.warn.Render(line + "  ! soon")
		}
		text = append(text, line)
	}
	return text
}

func (c *cluster) tokens() []string {
	text := c.part("Tokens with which a node can join")
	if len(c.status.Tokens) == 0 {
		return append(text, c.u.look.dim.Render("  none; n makes one"))
	}
	for _, t := range c.status.Tokens {
		line := "  " + short(t.ID) + "  until " + when(t.Expires, c.u.o.Now()) + "  made by " + termsafe.Brief(t.By)
		if t.Voter {
			line += "  for a voter"
		}
		text = append(text, line)
	}
	return text
}

func (c *cluster) crumbs() string  { return "" }
func (c *cluster) scope() scope    { return inCluster }
func (c *cluster) move(by int)     { c.at = max(c.at+by, 0) }
func (c *cluster) page(by float64) { c.at = max(c.at+int(by*float64(c.height)), 0) }
func (c *cluster) top()            { c.at = 0 }
func (c *cluster) bottom()         { c.at = len(c.text()) }

// newToken makes a token and shows it, this once.
func (u *ui) newToken() tea.Cmd {
	return u.openForm(&form{
		heading: "New token", do: "Make it", about: []string{"One node can join with it."},
		fields: []*field{newField("good for", "1h", checkDuration), newChoice("the node votes", "no", "yes")},
		command: func(v []string, _ int) []string {
			args := []string{"cluster", "token", "--lasts", v[0]}
			if v[1] == "yes" {
				args = append(args, "--voter")
			}
			return args
		},
		submit: func(v []string) tea.Cmd {
			lasts, _ := time.ParseDuration(v[0]) // it was judged
			return fetch(u, func(ctx context.Context, s dotmesh.Service) (string, error) {
				_, secret, err := s.CreateToken(ctx, dotmesh.TokenRequest{Voter: v[1] == "yes", Lasts: lasts})
				return string(secret), err
			}, func(u *ui, secret string, err error) tea.Cmd {
				if err != nil {
					u.fault("make a token", err)
					return nil
				}
				safe := termsafe.Line(secret)
				return tea.Batch(u.shown().enter(), u.ask(&sheet{heading: "Token, shown this once", raw: secret, text: []string{
					safe, "", "y copies it. On the new node: dm cluster join --token " + safe,
				}}))
			})
		},
	})
}

// revokeToken lets one choose a token.
func (u *ui) revokeToken() tea.Cmd {
	c := u.screens[atCluster].(*cluster)
	m := &menu{heading: "Revoke a token", empty: "there is none"}
	for _, t := range c.status.Tokens {
		m.all = append(m.all, choice{text: short(t.ID), detail: "until " + when(t.Expires, u.o.Now()) + ", made by " + termsafe.Brief(t.By), run: func(u *ui) tea.Cmd {
			return u.call("revoke "+short(t.ID), func(ctx context.Context, s dotmesh.Service) (string, error) {
				return "revoked " + short(t.ID), s.RevokeToken(ctx, t.ID)
			})
		}})
	}
	return u.openMenu(m)
}

// clusterJobs are what an operator can be asked for, and the options that it takes.
var clusterJobs = []struct {
	kind    dotmesh.JobKind
	about   string
	options []string
}{
	{dotmesh.JobInit, "make a cluster on this machine", []string{"storage"}},
	{dotmesh.JobJoin, "let this machine join a cluster", []string{"address", "token"}},
	{dotmesh.JobUpgrade, "bring every node to a version, one after the other", []string{"version"}},
	{dotmesh.JobReset, "take this machine's server away; the data stay", nil},
}

// clusterJob lets one choose a job, asks for its options, and shows the plan first.
func (u *ui) clusterJob() tea.Cmd {
	if u.o.Operator == nil {
		return u.say("there is nothing on this machine yet that could do that: it comes with Docker")
	}
	if w := u.job; w != nil && w.running {
		return u.ask(w) // it was closed and goes on; two at once would be in each other's way
	}
	m := &menu{heading: "Cluster"}
	for _, job := range clusterJobs {
		m.all = append(m.all, choice{text: string(job.kind), detail: job.about, run: func(u *ui) tea.Cmd {
			return u.planJob(job.kind, job.about, job.options)
		}})
	}
	return u.openMenu(m)
}

func (u *ui) planJob(kind dotmesh.JobKind, about string, options []string) tea.Cmd {
	f := &form{heading: "Cluster " + string(kind), do: "Plan", about: []string{about + ". The plan is shown before anything is done."}}
	for _, o := range options {
		f.fields = append(f.fields, newField(o, "", nil))
	}
	f.submit = func(v []string) tea.Cmd {
		given := map[string]string{}
		for i, o := range options {
			if v[i] != "" {
				given[o] = v[i]
			}
		}
		return u.openWizard(dotmesh.Job{Kind: kind, Options: maps.Clone(given)})
	}
	return u.openForm(f)
}

// jobSteps numbers the steps that are done and that there are.
func jobSteps(steps []dotmesh.Step, done map[string]bool) (n, of int) {
	for _, s := range steps {
		if s.Done || done[s.ID] {
			n++
		}
	}
	return n, len(steps)
}

// destroys reports whether a plan takes something away for good.
func destroys(p *dotmesh.Plan) bool {
	return slices.ContainsFunc(p.Steps, func(s dotmesh.Step) bool { return s.Destroys && !s.Done })
}
